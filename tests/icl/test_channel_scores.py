"""Channel scores: the same input tokens after every label, and the sums of a plain forward pass."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from icl import RunSpec, evaluate
from icl.encode import Encoder
from icl.results import episode_scores
from icl.tokenise import tokenise_channel
from prompts import Prompt
from tasks import IclError


def turned(before: str, text: str) -> Prompt:
    return Prompt("q", before, before, text, ())


def test_all_candidates_score_the_same_tokens(tiny_tokenizer: Any) -> None:
    requests = tokenise_channel(Encoder(tiny_tokenizer), [turned(f"Sentiment: {w}\nText:", " a dull film") for w in ("positive", "so bad")])
    spans = [tiny_tokenizer.decode(list(r.token_ids[r.scored_from :])) for r in requests]
    assert spans == [" a dull film"] * 2
    assert requests[0].scored_from != requests[1].scored_from


def test_where_an_answer_merges_with_the_input_the_span_begins_behind_it(tiny_tokenizer: Any) -> None:
    merged, plain = tokenise_channel(Encoder(tiny_tokenizer), [turned("x posi", "tive film"), turned("x §", "tive film")])
    assert merged.token_ids[merged.scored_from :] == plain.token_ids[plain.scored_from :]
    assert tiny_tokenizer.decode(list(merged.token_ids[merged.scored_from :])) == " film"


def test_inputs_without_a_token_and_prompts_that_begin_with_the_input_are_errors(tiny_tokenizer: Any) -> None:
    with pytest.raises(IclError, match="needs an input with a token of its own"):
        tokenise_channel(Encoder(tiny_tokenizer), [turned("a", ""), turned("b", "")])
    with pytest.raises(IclError, match="needs an answer before the input"):
        tokenise_channel(Encoder(tiny_tokenizer), [turned("", "a film"), turned("x", "a film")])


def test_a_run_scores_inputs_as_a_plain_forward_pass_does(own_task: Path, tiny_model_dir: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    spec = RunSpec(str(own_task), model=str(tiny_model_dir), shots=2, episodes=1, queries=3, dtype="float32", device="cpu")
    run = evaluate(replace(spec, calibration=("none", "channel")), out=tmp_path)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(tiny_model_dir), AutoTokenizer.from_pretrained(tiny_model_dir)
    free = run.table("content_free")
    assert {(row["part"], row["item"]) for row in free} == {("channel", "channel")}
    by_query = {row["query"]: row for row in run.table("prompts")}
    assert [row["belongs_to"] for row in free] == [query for query in by_query for _ in range(2)]
    for row in free:
        prompt = by_query[row["belongs_to"]]
        lines = [block.split("\n") for block in prompt["context"].split("\n\n")]
        head = "\n\n".join(f"{label}\n{text}" for text, label in lines[:-1])
        text = lines[-1][0]
        before = f"{head}\n\nSentiment: {row['candidate']}\nText:"
        assert row["text"] == text.removeprefix("Text:")
        ids, start = tokenizer(before + row["text"])["input_ids"], len(tokenizer(before)["input_ids"])
        with torch.inference_mode():
            log_p = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        assert row["logprob"] == pytest.approx(sum(float(log_p[i - 1, ids[i]]) for i in range(start, len(ids))), abs=1e-3)
        assert row["tokens"] == len(ids) - start


def test_a_label_of_several_words_has_their_mean() -> None:
    """By hand: p(x | a) is the mean of 0.2 and 0.4, p(x | b) is 0.3: equal."""
    common = {"episode": "e", "query": "q", "target": "a", "answers": None, "tokens": 1}
    words = [("a", 0.2), ("a", 0.4), ("b", 0.3)]
    predictions = [{**common, "candidate": label, "text": " w", "logprob": -1.0} for label, _ in words]
    of = {"episode": "e", "part": "channel", "item": "channel", "belongs_to": "q", "text": " x", "tokens": 1}
    free = [{**of, "candidate": label, "logprob": float(np.log(p))} for label, p in words]
    scores = episode_scores(predictions, free, ("a", "b"))[0].scores
    np.testing.assert_allclose(np.exp(scores.channel), [[[0.3, 0.3]]])


@pytest.mark.parametrize(
    ("change", "message"),
    [({"task": "past-tense"}, "needs a task with a label set"), ({"chat": True}, "leave out --chat")],
)
def test_what_it_cannot_serve_is_refused(
    own_task: Path, tiny_model_dir: Path, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    spec = replace(RunSpec(str(own_task), model=str(tiny_model_dir), calibration=("channel",), episodes=1, queries=2), **change)
    with pytest.raises(IclError, match=message):
        evaluate(spec, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
