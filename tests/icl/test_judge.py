"""What the model makes of prompts, against a plain forward pass of the same model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from icl.encode import Encoder
from icl.engine.hf import HFEngine
from icl.judge import PromptJudge
from prompts import PromptBuilder, load_template
from tasks import Example, IclError, Query
from tasks.load import load_task
from tasks.types import with_labels

SHOWN = [Example("a", {"text": "a good film"}, "positive"), Example("b", {"text": "a dull plot"}, "negative")]
QUERIES = [Query("q", {"text": "a fine cast"}), Query("r", {"text": "喜 sad"}), Query("s", {"text": ""})]


@pytest.fixture
def model(tiny_model_dir: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(tiny_model_dir, dtype=torch.float32).eval()


def judge_of(model: Any, tokenizer: Any, window: int = 512) -> PromptJudge:
    task, template = load_task("movie-sentiment", None), load_template("sentiment-plain")
    engine = HFEngine(model, tokenizer, 4096)
    return PromptJudge(engine, Encoder(tokenizer), lambda labels: PromptBuilder(template, with_labels(task, labels)), window)


def log_probs(model: Any, ids: list[int]) -> np.ndarray:
    """Of each token but the first, given those before it."""
    with torch.inference_mode():
        out = model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
    return np.array([out[i, token].item() for i, token in enumerate(ids[1:])])


def test_surprise_is_the_mean_loss_of_the_query_side(model: Any, tiny_tokenizer: Any) -> None:
    found = judge_of(model, tiny_tokenizer).surprise(("negative", "positive"), QUERIES)
    texts = [f"Text: {query.inputs['text']}\nSentiment:" for query in QUERIES]
    expected = [-log_probs(model, tiny_tokenizer(text)["input_ids"]).mean() for text in texts]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_likelihood_is_the_sum_over_the_right_answer(model: Any, tiny_tokenizer: Any) -> None:
    asked = [Example("c", {"text": "a fine cast"}, "positive"), Example("d", {"text": "sad"}, "negative")]
    found = judge_of(model, tiny_tokenizer).likelihood(("negative", "positive"), asked, [SHOWN, []])
    for row, shown in zip(found, [SHOWN, []], strict=True):
        for value, example in zip(row, asked, strict=True):
            head = "".join(f"Text: {e.inputs['text']}\nSentiment: {e.target}\n\n" for e in shown)
            text = f"{head}Text: {example.inputs['text']}\nSentiment:"
            start = len(tiny_tokenizer(text)["input_ids"]) - 1
            expected = log_probs(model, tiny_tokenizer(f"{text} {example.target}")["input_ids"])[start:].sum()
            assert value == pytest.approx(expected, abs=1e-4)


def test_answers_are_shared_out_among_the_candidates(model: Any, tiny_tokenizer: Any) -> None:
    contexts = [SHOWN, SHOWN[::-1], SHOWN[:1]]
    found = judge_of(model, tiny_tokenizer).answers(("negative", "positive"), QUERIES[1::-1], contexts)
    assert found.shape == (3, 2, 2)
    for row, shown in zip(found[:, 1], contexts, strict=True):
        text = "".join(f"Text: {e.inputs['text']}\nSentiment: {e.target}\n\n" for e in shown) + "Text: a fine cast\nSentiment:"
        start = len(tiny_tokenizer(text)["input_ids"]) - 1
        sums = np.array(
            [log_probs(model, tiny_tokenizer(f"{text} {label}")["input_ids"])[start:].sum() for label in ("negative", "positive")]
        )
        np.testing.assert_allclose(row, sums - np.logaddexp(*sums), atol=1e-4)


def test_a_prompt_over_the_window_is_an_error(model: Any, tiny_tokenizer: Any) -> None:
    with pytest.raises(IclError, match="to be judged for a choice, but one takes"):
        judge_of(model, tiny_tokenizer, window=20).answers(("negative", "positive"), QUERIES[:1], [SHOWN])
