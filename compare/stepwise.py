"""Adapting step by step, for who wants to know what each gradient step does. Measuring alone: no prediction, cost or search reads it.

A learner that takes gradient steps on a support set can be asked for them one by one. It takes the very steps that `adapt` takes, from the
same stream; after as many as it was set to take it is what `adapt` returns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from compare.types import Learner, Predictor, Support

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


@dataclass(frozen=True)
class Step:
    """A learner between two steps."""

    number: int
    """Steps taken so far."""
    flops: int
    """Operations of those steps, features left out (formula in the learner's file)."""
    loss: float | None
    """Of the examples that the next step learns from, as things stand; natural logarithm. None after the last step."""
    gradient_norm: float | None
    """Euclidean norm of that loss's gradient over everything that a step moves. None after the last step."""
    predictor: Callable[[], Predictor]
    """The learner as it is now. To be asked before the next step is looked at."""


@runtime_checkable
class Stepwise(Learner, Protocol):
    """A learner whose adapting is a sequence of gradient steps."""

    @property
    def adapting_steps(self) -> int:
        """How many `adapt` takes."""
        ...

    def steps(self, support: Support, rng: np.random.Generator) -> Iterator[Step]:
        """Step 0, which is before the first, then one after each; perhaps further ones than `adapt` takes.

        Raises IclError where adapting diverges, after the step whose loss shows it.
        """
        ...


def norm(gradients: Iterable[Tensor | None]) -> float:
    """Euclidean norm of all of them together, in float64; infinite or NaN where one of them is."""
    squares = sum(float(g.detach().double().square().sum()) for g in gradients if g is not None)
    return math.sqrt(squares)
