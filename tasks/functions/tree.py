"""Decision trees (Garg et al. 2022, section 5): full binary trees of depth 4 that ask for the sign of one coordinate at each node.

Each inner node has a coordinate at random; a positive one goes right. Each leaf has a value ~ N(0, 1). x ~ N(0, I); d = 20, 101 points.
Nodes are numbered as in a heap: the children of i are 2i + 1 and 2i + 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.functions.types import FunctionClass, Values, gaussian

DEPTH = 4


@dataclass(frozen=True)
class Trees:
    """Some functions of the class."""

    coordinate: NDArray[np.int64]
    """(functions, inner nodes): what a node asks for"""
    leaf: Values
    """(functions, leaves), from left to right"""

    def __call__(self, x: Values) -> Values:
        """(functions, points, d) → (functions, points)."""
        node = np.zeros(x.shape[:2], dtype=np.int64)
        for _ in range(DEPTH):
            asked = np.take_along_axis(self.coordinate, node, axis=1)
            positive = np.take_along_axis(x, asked[..., None], axis=2)[..., 0] > 0
            node = 2 * node + 1 + positive
        return np.take_along_axis(self.leaf, node - (2**DEPTH - 1), axis=1)


def draw(n: int, d: int, rng: np.random.Generator) -> Trees:
    """n functions of d numbers."""
    return Trees(rng.integers(0, d, (n, 2**DEPTH - 1)), rng.standard_normal((n, 2**DEPTH)))


CLASS = FunctionClass(draw, gaussian, dimensions=20, points=101, variance=lambda d: 1.0)
