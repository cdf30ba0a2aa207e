"""MMR: examples like the query and unlike each other, chosen one by one, the first one chosen last (Ye et al. 2023).

e* = arg max λ sim(x, e) − (1 − λ) max over chosen e' of sim(e, e'), with λ = 1/2 and cosines of mean last hidden states. The first choice
is the nearest example. Ties fall to the example that stands earlier in the pool.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from icl.selection.types import Chooser, Embed, check_enough, embed_pool, text_of, unit
from tasks.types import Example, Query


@dataclass(frozen=True)
class MMRSelector:
    """Asked once per query; the pool is embedded once."""

    embed: Embed
    relevance: float = 0.5
    """λ: 1 is the nearest neighbours."""
    per_query: bool = True

    def over(self, support: Sequence[Example], labels: Sequence[str]) -> Chooser:
        return _MMRChooser(self.embed, embed_pool(self.embed, support), self.relevance)


@dataclass(frozen=True)
class _MMRChooser:
    embed: Embed
    support: NDArray[np.float32]
    """Unit vectors, (pool, hidden)."""
    relevance: float

    def choose(self, query: Query | None, k: int, rng: np.random.Generator) -> list[int]:
        assert query is not None
        check_enough("mmr", k, len(self.support))
        near = self.support @ unit(self.embed([text_of(query)]))[0]  # (pool,)
        return greedy_mmr(near, self.support, k, self.relevance)[::-1]


def greedy_mmr(near: NDArray[np.float32], support: NDArray[np.float32], k: int, relevance: float) -> list[int]:
    """Positions in the order of being chosen. `near`: similarity to the query, (pool,); `support`: unit vectors, (pool, hidden)."""
    chosen: list[int] = []
    redundant = np.full(len(support), -np.inf)
    for _ in range(k):
        value = relevance * near - (1 - relevance) * redundant if chosen else near.astype(np.float64)
        value[chosen] = -np.inf
        chosen.append(int(np.argmax(value)))
        redundant = np.maximum(redundant, support @ support[chosen[-1]])
    return chosen
