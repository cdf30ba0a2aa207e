"""The language model on functions: points written as text in the prompt, and a number read from what it writes.

    x: 0.31 y: 1.27
    x: -1.40 y: -2.11
    x: 0.88 y:            ← greedy decoding goes on from here, to the end of the line

So in-context learning gets the very episodes that least squares, MAML and the in-context transformer get. It is a Baseline
(compare/baselines/types.py): what was shown and what is asked in, numbers out; NaN where it wrote none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compare.baselines.types import Values
from icl.encode import Encoder
from icl.engine.types import Engine, silent
from icl.tokenise import tokenise_open
from prompts import PromptBuilder
from prompts.types import Template
from tasks import Example, IclError, Query, Task

NUMBER = re.compile(r"\s*([-+−]?(?:\d+(?:\.\d*)?|\.\d+))(?![\w.]*[A-Za-z])")
"""An answer begins with one; letters behind it (1e5, 3rd) make it none."""
TOGETHER = 32
"""Prompts of one call: those of a task share their demonstrations there."""


def written(value: float, decimals: int = 2) -> str:
    """A number as prompts show it, never as -0.00."""
    return f"{round(float(value), decimals) + 0.0:.{decimals}f}"


def rounded(values: Values, decimals: int = 2) -> Values:
    """Numbers as a reader of the prompt knows them, so that other learners can be given the same."""
    out: Values = np.round(values, decimals) + 0.0
    return out


def parsed(text: str) -> float:
    """The number that an answer begins with; NaN when it begins with none, or with one that a float cannot hold."""
    found = NUMBER.match(text)
    value = float(found.group(1).replace("−", "-")) if found else float("nan")
    return value if np.isfinite(value) else float("nan")


def regression_task(name: str, template: Template, max_new_tokens: int) -> Task:
    """A task without rows, for prompts of numbers: one field `x`, an answer that is a number on a line of its own."""
    return Task(
        name=name, kind="regression", description="", fields=("x",), labels=(), label_words={}, splits={},
        default_template=template.name, metrics=(), licence="", citation="", source="drawn", fingerprint="",
        max_new_tokens=max_new_tokens, stop=("\n",),
    )  # fmt: skip


@dataclass(frozen=True)
class NumbersInContext:
    """See the module's opening. A Baseline."""

    engine: Engine
    encoder: Encoder
    builder: PromptBuilder
    """Of a `regression_task`."""
    window: int
    """Longest prompt and answer of the model, in tokens."""

    def __call__(self, x: Values, y: Values, asked: Values) -> Values:
        """See Baseline. Raises IclError for prompts that do not fit the context window."""
        queries = asked.shape[1]
        step = max(1, TOGETHER // queries)
        texts: list[str] = []
        for start in range(0, len(x), step):
            of = range(start, min(start + step, len(x)))
            texts += self._answers([p for t in of for p in self.prompts(x[t], y[t], asked[t])])
        return np.array([parsed(text) for text in texts]).reshape(len(x), queries)

    def prompts(self, x: Values, y: Values, asked: Values) -> list[list[int]]:
        """Of one task, (n, d), (n,), (q, d): token ids of each query's prompt."""
        shown = [Example(f"shown-{i}", {"x": _point(at)}, written(value)) for i, (at, value) in enumerate(zip(x, y, strict=True))]
        asking = [self.builder.open_prompt(shown, Query(f"asked-{i}", {"x": _point(at)})) for i, at in enumerate(asked)]
        ids = tokenise_open(self.encoder, asking)
        longest, room = max(map(len, ids)), self.builder.task.max_new_tokens
        if longest + room > self.window:
            raise IclError(
                f"a prompt must fit the context window, but {len(x)} points and an answer take {longest + room} tokens "
                f"of {self.window}; show fewer points"
            )
        return ids

    def _answers(self, prompts: Sequence[Sequence[int]]) -> list[str]:
        task = self.builder.task
        return self.engine.generate(prompts, task.max_new_tokens, task.stop, silent)


def _point(at: Values) -> str:
    return ", ".join(map(written, at))
