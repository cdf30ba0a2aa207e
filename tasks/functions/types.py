"""What a class of functions is. The ground: imports nothing from its siblings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


class Functions(Protocol):
    """Some functions of a class, evaluated together."""

    def __call__(self, x: Values) -> Values:
        """(functions, points, d) → (functions, points)."""
        ...


@dataclass(frozen=True)
class FunctionClass:
    """One entry of `FUNCTION_CLASSES`."""

    draw: Callable[[int, int, np.random.Generator], Functions]
    """How many, d, a stream → functions of d numbers each. Raises IclError for a d that the class does not have."""
    inputs: Callable[[int, int, int, np.random.Generator], Values]
    """How many functions, points, d, a stream → where they are looked at, (functions, points, d)."""
    dimensions: int
    """d of the paper."""
    points: int
    """Length of a sequence in the paper: the last is asked after all others were shown."""
    variance: Callable[[int], float]
    """d → the mean of y², which errors are divided by to be comparable over d."""


def gaussian(n: int, points: int, d: int, rng: np.random.Generator) -> Values:
    """(n, points, d) from N(0, I)."""
    return rng.standard_normal((n, points, d))
