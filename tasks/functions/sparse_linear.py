"""Sparse linear functions (Garg et al. 2022, section 4): as `linear`, but all weights are 0 except those of three coordinates at random.

The lasso needs fewer than d points; least squares does not profit.
"""

from __future__ import annotations

import numpy as np

from tasks.errors import IclError
from tasks.functions.linear import Linear
from tasks.functions.types import FunctionClass, gaussian

NONZERO = 3


def draw(n: int, d: int, rng: np.random.Generator) -> Linear:
    """n functions of d numbers. Raises IclError for fewer than NONZERO."""
    if d < NONZERO:
        raise IclError(f"sparse linear functions have {NONZERO} weights besides 0, but were asked for {d} dimensions; use d >= {NONZERO}")
    weights = rng.standard_normal((n, d))
    rank = rng.random((n, d)).argsort(axis=1).argsort(axis=1)
    return Linear(np.where(rank < NONZERO, weights, 0.0))


CLASS = FunctionClass(draw, gaussian, dimensions=20, points=41, variance=lambda d: float(NONZERO))
