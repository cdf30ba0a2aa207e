"""k-center: demonstrations that cover the pool, so that no example is far from all of them (greedy: Gonzalez 1985, Sener & Savarese 2018).

The first is drawn at random; then again and again e* = arg max_e min over chosen e' of |h(e) − h(e')|, with h of length 1. The greedy
radius is at most twice the best one. Ties fall to the example that stands earlier in the pool.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from icl.selection.types import Chooser, Embed, check_enough, embed_pool
from tasks.types import Example, Query


@dataclass(frozen=True)
class KCenterSelector:
    """Needs no query: the same demonstrations for all of an episode."""

    embed: Embed
    per_query: bool = False

    def over(self, support: Sequence[Example], labels: Sequence[str]) -> Chooser:
        return _KCenterChooser(embed_pool(self.embed, support))


@dataclass(frozen=True)
class _KCenterChooser:
    support: NDArray[np.float32]
    """Unit vectors, (pool, hidden)."""

    def choose(self, query: Query | None, k: int, rng: np.random.Generator) -> list[int]:
        check_enough("k-center", k, len(self.support))
        return farthest_first(self.support, k, int(rng.integers(len(self.support)))) if k else []


def farthest_first(vectors: NDArray[np.float32], k: int, first: int) -> list[int]:
    """Positions of k rows, each as far as possible from those before it. `vectors` is (rows, hidden)."""
    chosen = [first]
    distance = np.linalg.norm(vectors - vectors[first], axis=1)
    while len(chosen) < k:
        distance[chosen] = -1
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, np.linalg.norm(vectors - vectors[chosen[-1]], axis=1))
    return chosen
