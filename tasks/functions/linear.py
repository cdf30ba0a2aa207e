"""Linear functions (Garg et al. 2022, section 3): y = w · x with w ~ N(0, I) and x ~ N(0, I); d = 20 and 41 points in the paper.

Least squares recovers w from d points without noise; before that its answer of least norm is the Bayes-optimal one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tasks.functions.types import FunctionClass, Values, gaussian


@dataclass(frozen=True)
class Linear:
    """Some functions of the class; also those with sparse weights."""

    weights: Values
    """(functions, d)"""

    def __call__(self, x: Values) -> Values:
        """(functions, points, d) → (functions, points)."""
        y: Values = np.einsum("fpd,fd->fp", x, self.weights)
        return y


def draw(n: int, d: int, rng: np.random.Generator) -> Linear:
    """n functions of d numbers."""
    return Linear(rng.standard_normal((n, d)))


CLASS = FunctionClass(draw, gaussian, dimensions=20, points=41, variance=float)
