"""One section of an episode: from its items to the rows of a run's tables. The raw scores are kept; nothing is calibrated here."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from icl.engine.types import Engine, Progress
from icl.metrics import predict
from icl.neighbours import neighbour_rows
from icl.plan import Item, length_of
from icl.runs.tables import Rows
from icl.synonyms import by_label
from tasks import IclError, Task
from tasks.types import LETTERS


def score_section(
    episode: str, items: Sequence[Item], task: Task, engine: Engine, progress: Progress, near: Sequence[str] = ()
) -> dict[str, Rows]:
    """Scores every candidate and writes every answer of a section; `near` names what queries and anchors are compared by.

    Raises IclError for a score that is not a finite number.
    """
    near_rows = {"neighbours": neighbour_rows(episode, items, near, engine, progress)} if near else {}
    items = [item for item in items if item.part != "anchor"]
    scores = engine.score([request for item in items for request in item.requests], progress)
    written: dict[str, str] = {}
    open_items = [item for item in items if item.open_prompt is not None]
    if open_items:
        texts = engine.generate([item.open_ids for item in open_items], task.max_new_tokens, task.stop, progress)
        written = {item.query.id: text for item, text in zip(open_items, texts, strict=True)}
    tables: dict[str, Rows] = {"predictions": [], "content_free": [], "prompts": []}
    position = 0
    for item in items:
        spans = scores[position : position + len(item.requests)]
        position += len(item.requests)
        sums = np.array([_summed(span, episode, item) for span in spans])
        if item.part == "query":
            tables["predictions"].extend(_query_rows(episode, item, task, sums, spans, written.get(item.query.id)))
            tables["prompts"].append(_prompt_row(episode, item, task))
        else:
            tables["content_free"].extend(_free_rows(episode, item, sums, spans))
    return tables | near_rows


def _summed(span: NDArray[np.float64], episode: str, item: Item) -> float:
    total = float(span.sum())
    if not np.isfinite(total):
        raise IclError(
            f"scores must be finite numbers, but a candidate of query '{item.query.id}' in episode {episode} has {total}; "
            "the model overflows in this dtype: try --dtype float32"
        )
    return total


def _query_rows(
    episode: str, item: Item, task: Task, sums: NDArray[np.float64], spans: Sequence[NDArray[np.float64]], text: str | None
) -> Rows:
    assert item.example is not None
    rows: Rows = []
    common = {"episode": episode, "query": item.query.id, "target": item.example.target, "answers": None}
    if text is not None:
        found = find_answer(text, task.answer_pattern)
        answers = list(item.example.answers or (item.example.target,))
        rows.append({**common, "candidate": "", "text": text, "logprob": None, "tokens": 0, "predicted": found, "answers": answers})
    if item.candidates:
        labels = [candidate.label for candidate in item.candidates]
        chosen = int(predict(by_label(labels, sums)[None, :], [item.query.id])[0])
        predicted = list(dict.fromkeys(labels))[chosen]
        target = target_label(item)
        for candidate, prompt, total, span in zip(item.candidates, item.prompts, sums.tolist(), spans, strict=True):
            row = {"candidate": candidate.label, "text": prompt.answer, "logprob": total, "tokens": len(span), "predicted": predicted}
            rows.append({**common, **row, "target": target})
    return rows


def target_label(item: Item) -> str:
    """The candidate that is right: the target itself, or for a generation task scored as choices the letter of the right text."""
    assert item.example is not None
    labels = {candidate.label for candidate in item.candidates}
    if item.open_prompt is None:
        return item.example.target
    accepted = {item.example.target, *item.example.answers}
    letters = [LETTERS[i] for i, choice in enumerate(item.query.choices) if choice in accepted]
    if len(letters) != 1 or letters[0] not in labels:
        raise IclError(f"exactly one choice of query '{item.query.id}' must be right, but {len(letters)} are")
    return letters[0]


def find_answer(text: str, pattern: str) -> str:
    """The answer within a written text: group 1 of the pattern's last match (thousands separators dropped), else the whole text."""
    if not pattern:
        return text.strip()
    matches = list(re.finditer(pattern, text))
    return (matches[-1].group(1) or "").replace(",", "").strip() if matches else ""


def _free_rows(episode: str, item: Item, sums: NDArray[np.float64], spans: Sequence[NDArray[np.float64]]) -> Rows:
    return [
        {
            "episode": episode,
            "part": item.part,
            "item": item.query.id,
            "belongs_to": item.belongs_to,
            "candidate": candidate.label,
            "text": prompt.answer,
            "logprob": total,
            "tokens": len(span),
        }
        for candidate, prompt, total, span in zip(item.candidates, item.prompts, sums.tolist(), spans, strict=True)
    ]


def _prompt_row(episode: str, item: Item, task: Task) -> dict[str, object]:
    prompt = item.open_prompt or item.prompts[0]
    return {
        "episode": episode,
        "query": item.query.id,
        "context": prompt.context,
        "special_tokens": prompt.add_special_tokens,
        "demonstrations": list(prompt.demonstrations),
        "shown": list(item.shown),
        "dropped": item.dropped,
        "tokens": length_of(item, task),
    }
