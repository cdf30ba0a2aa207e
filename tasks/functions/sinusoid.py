"""Sinusoids (Finn et al. 2017): y = A sin(x − φ) with A ~ U[0.1, 5], φ ~ U[0, π] and x ~ U[−5, 5], without noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tasks.errors import IclError
from tasks.functions.types import FunctionClass, Values

AMPLITUDE = (0.1, 5.0)
PHASE = (0.0, np.pi)
INPUT = (-5.0, 5.0)


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


@dataclass(frozen=True)
class OfOneNumber:
    """Sinusoids as functions of points with one coordinate."""

    sinusoids: Sinusoids

    def __call__(self, x: Values) -> Values:
        """(functions, points, 1) → (functions, points)."""
        return self.sinusoids(x[..., 0])


def draw_class(n: int, d: int, rng: np.random.Generator) -> OfOneNumber:
    """n functions of one number. Raises IclError for d other than 1."""
    if d != 1:
        raise IclError(f"sinusoids are functions of one number, but were asked for {d} dimensions; use d = 1")
    return OfOneNumber(draw(n, rng))


def points_of_class(n: int, points: int, d: int, rng: np.random.Generator) -> Values:
    """(n, points, 1)."""
    return inputs(n, points, rng)[..., None]


MEAN_SQUARE = (AMPLITUDE[1] ** 3 - AMPLITUDE[0] ** 3) / (3 * (AMPLITUDE[1] - AMPLITUDE[0])) / 2
"""Of y: E[A²] / 2, since x − φ covers the circle nearly evenly."""

CLASS = FunctionClass(draw_class, points_of_class, dimensions=1, points=11, variance=lambda d: MEAN_SQUARE)
