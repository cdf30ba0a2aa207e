"""Label words that the model chooses itself (`--labels auto`): a word per label, found on labelled examples of the demonstration split.

s(y, w) = mean over examples of label y of log p(w | x) − mean over the other examples of log p(w | x), without demonstrations: a likelihood
ratio, as in PETAL (Schick, Schmid & Schütze 2020). Candidates are the 100 whole words of one token that are likeliest in the place of the
answer (Gao, Fisch & Chen 2021 prune so, too); each label gets a word of its own so that Σ_y s(y, w_y) is largest (Hungarian method). Both
papers go on to compare a few best mappings by fine-tuning; here the best one by this score is used. A token counts as a whole word if
the model is less inclined to go on with a letter after it than after most. Queries are never looked at. The words follow from what names
the run, and stand in its environment.json.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from icl.encode import Encoder
from icl.engine.types import Engine, silent
from icl.tokenise import tokenise_open
from prompts import Candidate, Prompt, PromptBuilder, Template
from tasks import Example, IclError

WORDS = 100
"""Words that are compared."""
BEGINNINGS = 400
"""Likeliest tokens of letters among which these are looked for."""
TOKENS = 6000
"""Likeliest tokens among which those are."""
MARKS = "ĠĊ▁"
"""How tokenizers write a space or line feed at a token's beginning."""


def check_searchable(template: Template) -> None:
    """Raises IclError for a template that writes no words, or shows the labels before they are found."""
    if template.answer != "word" or template.mapping != "own":
        other = f"answers with a {template.answer}" if template.answer != "word" else f"has the mapping '{template.mapping}'"
        raise IclError(f"--labels auto finds words for labels, but template '{template.name}' {other}; use another --template")
    for block, names in template.used.items():
        if shown := sorted(names & {"labels", "choices", "letters"}):
            raise IclError(
                f"--labels auto finds words for labels, but template '{template.name}' lists them in block '{block}' ({shown[0]}), "
                "before they are known; use another --template"
            )


def find_label_words(
    engine: Engine, encoder: Encoder, builder: PromptBuilder, examples: Sequence[Example], labels: Sequence[str], window: int
) -> dict[str, str]:
    """Label → word. Raises IclError for a prompt that does not fit, and where too few words are one token after the prompt."""
    from scipy.optimize import linear_sum_assignment

    prompts = [builder.open_prompt([], example.query()) for example in examples]
    ids = tokenise_open(encoder, prompts)
    if (longest := max(map(len, ids))) >= window:
        raise IclError(f"a prompt must fit the context window, but one that label words are looked for after takes {longest} of {window}")
    log_p = engine.distributions(ids, silent)  # (examples, vocabulary)
    likeliest = np.argsort(-log_p.mean(axis=0, dtype=np.float64), kind="stable")[:TOKENS]
    beginnings = _beginnings(encoder, builder, examples[0], prompts[0], ids[0], [int(token) for token in likeliest])
    found = _whole(engine, encoder.tokenizer, ids[0], beginnings)
    if len(found) < len(labels):
        raise IclError(
            f"--labels auto needs {len(labels)} whole words of one token after the template's query side, but found {len(found)}; "
            "end it without a space, or write label_words of your own"
        )
    of_words = log_p[:, list(found)].astype(np.float64)
    has = np.array([[example.target == label for example in examples] for label in labels])
    score = np.stack([of_words[of].mean(axis=0) - of_words[~of].mean(axis=0) for of in has])  # (labels, words)
    rows, columns = linear_sum_assignment(np.round(score, 9), maximize=True)
    words = list(found.values())
    return {labels[row]: words[column] for row, column in zip(rows, columns, strict=True)}


def _beginnings(
    encoder: Encoder, builder: PromptBuilder, example: Example, prompt: Prompt, ids: list[int], tokens: Sequence[int]
) -> dict[int, str]:
    """Token → its letters, of those tokens that two letters or more become in the place of the answer; one per spelling."""
    texts = [encoder.tokenizer.decode([token]).strip() for token in tokens]
    candidates = [(token, text) for token, text in zip(tokens, texts, strict=True) if len(text) > 1 and text.isalpha()]
    written = builder.prompts([], example.query(), [Candidate(text, text) for _, text in candidates])
    encoded = encoder([p.text for p in written], prompt.add_special_tokens) if written else []
    found: dict[int, str] = {}
    spelt: set[str] = set()
    for (token, text), (together, _) in zip(candidates, encoded, strict=True):
        if together == [*ids, token] and text.casefold() not in spelt and len(found) < BEGINNINGS:
            spelt.add(text.casefold())
            found[token] = text
    return found


def _whole(engine: Engine, tokenizer: Any, ids: list[int], beginnings: Mapping[int, str]) -> dict[int, str]:
    """The first hundred of those that the model readily ends: the probability of going on with a letter is at most the median of all."""
    if not beginnings:
        return {}
    p = np.exp(engine.distributions([[*ids, token] for token in beginnings], silent))  # (beginnings, vocabulary)
    written = tokenizer.convert_ids_to_tokens(range(p.shape[1]))
    letters = np.array([bool(text) and text[0].isalpha() and text[0] not in MARKS for text in written])
    goes_on = p[:, letters].sum(axis=1)
    ends = goes_on <= np.median(goes_on)
    return dict([item for item, whole in zip(beginnings.items(), ends, strict=True) if whole][:WORDS])
