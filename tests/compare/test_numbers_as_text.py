"""Functions as text: how numbers are written and read, what stands in the prompt, and a learner that reads it rightly gets it right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compare.numbers_as_text import NumbersInContext, parsed, regression_task, rounded, written
from icl.encode import Encoder
from icl.engine.types import Progress
from prompts import PromptBuilder, load_template
from tasks import IclError

TEMPLATE = Path(__file__).resolve().parents[2] / "studies" / "functions-as-text" / "lines.jinja"


@pytest.mark.parametrize(
    ("text", "value"),
    [(" 1.27", 1.27), (" -0.5\nx:", -0.5), ("3", 3.0), (" +.25 and so on", 0.25), ("−2.00", -2.0), (" 4. ", 4.0), (" 1.27.3", 1.27)],
)
def test_an_answer_begins_with_its_number(text: str, value: float) -> None:
    assert parsed(text) == value


@pytest.mark.parametrize("text", ["", " ", "about 3", "y: 3", "-", ".", "1e5", "3rd", "9" * 400])
def test_anything_else_is_no_number(text: str) -> None:
    assert math.isnan(parsed(text))


def test_numbers_are_written_with_two_decimals_and_no_negative_zero() -> None:
    assert [written(v) for v in (1.005, -0.001, 3.0, -12.345)] == ["1.00", "0.00", "3.00", "-12.35"]
    values = np.array([0.1234, -0.004, 2.996])
    assert [written(v) for v in rounded(values)] == [written(v) for v in values]


class Reads:
    """An engine that sees the text of a prompt and answers from its last line, y = x_1 + 2 x_2; or without a number."""

    def __init__(self, tokenizer: Any, silent_at: str = "") -> None:
        self.tokenizer, self.silent_at = tokenizer, silent_at
        self.seen: list[str] = []

    def generate(self, prompts: Sequence[Sequence[int]], max_new_tokens: int, stop: Sequence[str], progress: Progress) -> list[str]:
        texts = [self.tokenizer.decode(list(ids)) for ids in prompts]
        self.seen += texts
        assert stop == ("\n",)
        last = [text.rsplit("x: ", 1)[1].removesuffix(" y:") for text in texts]
        return [
            "no idea" if at == self.silent_at else f" {sum(float(v) * w for v, w in zip(at.split(', '), (1, 2), strict=True)):.3f}"
            for at in last
        ]


def test_a_reader_of_the_text_gets_it_right(tiny_tokenizer: Any) -> None:
    rng = np.random.default_rng(0)
    x, asked = rounded(rng.standard_normal((20, 3, 2))), rounded(rng.standard_normal((20, 4, 2)))
    y = x @ [1.0, 2.0]
    engine: Any = Reads(tiny_tokenizer, silent_at=", ".join(map(written, asked[7, 2])))
    template = load_template(str(TEMPLATE))
    learner = NumbersInContext(engine, Encoder(tiny_tokenizer), PromptBuilder(template, regression_task("f", template, 8)), 512)
    said = learner(x, y, asked)
    assert np.isnan(said[7, 2])
    assert np.isnan(said).sum() == 1
    right = asked @ [1.0, 2.0]
    np.testing.assert_allclose(np.where(np.isnan(said), right, said), right, atol=1e-6)
    of = [f"x: {written(a)}, {written(b)} y: {written(v)}\n" for (a, b), v in zip(x[0], y[0], strict=True)]
    assert engine.seen[0] == "".join(of) + f"x: {written(asked[0, 0, 0])}, {written(asked[0, 0, 1])} y:"
    assert len(engine.seen) == 80
    short = NumbersInContext(engine, Encoder(tiny_tokenizer), learner.builder, 40)
    with pytest.raises(IclError, match=r"3 points and an answer take \d+ tokens of 40; show fewer points"):
        short(x, y, asked)
