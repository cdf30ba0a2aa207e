"""Sinusoids (Finn et al. 2017): y = A sin(x − φ) with A ~ U[0.1, 5], φ ~ U[0, π] and x ~ U[−5, 5], without noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

AMPLITUDE = (0.1, 5.0)
PHASE = (0.0, np.pi)
INPUT = (-5.0, 5.0)

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Sinusoids:
    """Some functions of the class."""

    amplitude: Values
    """(functions,)"""
    phase: Values
    """(functions,), radians"""

    def __call__(self, x: Values) -> Values:
        """(functions, points) → (functions, points)."""
        return self.amplitude[:, None] * np.sin(x - self.phase[:, None])


def draw(n: int, rng: np.random.Generator) -> Sinusoids:
    """n functions."""
    return Sinusoids(rng.uniform(*AMPLITUDE, n), rng.uniform(*PHASE, n))


def inputs(n: int, points: int, rng: np.random.Generator) -> Values:
    """(n, points): where n functions are looked at."""
    return rng.uniform(*INPUT, (n, points))
