"""Networks with one hidden layer (Garg et al. 2022, section 5): y = Σ_i α_i max(0, w_i · x) over 100 units.

α_i ~ N(0, 2/100), w_i ~ N(0, I), x ~ N(0, I); d = 20 and 101 points in the paper. So y has variance d, as linear functions do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tasks.functions.types import FunctionClass, Values, gaussian

HIDDEN = 100


@dataclass(frozen=True)
class Networks:
    """Some functions of the class."""

    below: Values
    """(functions, hidden, d)"""
    above: Values
    """(functions, hidden)"""

    def __call__(self, x: Values) -> Values:
        """(functions, points, d) → (functions, points)."""
        units = np.maximum(np.einsum("fpd,fhd->fph", x, self.below), 0.0)
        y: Values = np.einsum("fph,fh->fp", units, self.above)
        return y


def draw(n: int, d: int, rng: np.random.Generator) -> Networks:
    """n functions of d numbers."""
    return Networks(rng.standard_normal((n, HIDDEN, d)), rng.standard_normal((n, HIDDEN)) * (2 / HIDDEN) ** 0.5)


CLASS = FunctionClass(draw, gaussian, dimensions=20, points=101, variance=float)
