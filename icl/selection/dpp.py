"""DPP: the set whose kernel has the largest determinant, which is relevant and diverse at once (Ye et al. 2023, CEIL, untrained).

L_ij = r_i S_ij r_j with S_ij = (1 + cos(e_i, e_j)) / 2 and r_i = exp((1 + cos(x, e_i)) / 4λ), λ = 0.1: log det L_Z grows with the
relevance of its examples and with the volume they span. The set is found by greedy MAP with an incremental Cholesky factor (Chen et al.
2018): each step takes the example that multiplies the determinant most. Where every example left would make it 0 (doubles, or more shots
than the embedding has dimensions), the rest is filled by relevance. The first one chosen stands last; ties fall to the example that
stands earlier in the pool.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from icl.selection.types import Chooser, Embed, check_enough, embed_pool, text_of, unit
from tasks.types import Example, Query

NO_VOLUME = 1e-6
"""A squared height below this share of the example's own length counts as 0: float32 embeddings do not tell it apart."""


@dataclass(frozen=True)
class DPPSelector:
    """Asked once per query; the pool is embedded once."""

    embed: Embed
    scale: float = 0.1
    """λ: the smaller, the more relevance counts against diversity."""
    per_query: bool = True

    def over(self, support: Sequence[Example], labels: Sequence[str]) -> Chooser:
        return _DPPChooser(self.embed, embed_pool(self.embed, support), self.scale)


@dataclass(frozen=True)
class _DPPChooser:
    embed: Embed
    support: NDArray[np.float32]
    """Unit vectors, (pool, hidden)."""
    scale: float

    def choose(self, query: Query | None, k: int, rng: np.random.Generator) -> list[int]:
        assert query is not None
        check_enough("dpp", k, len(self.support))
        near = self.support @ unit(self.embed([text_of(query)]))[0]  # (pool,)
        return greedy_map((1 + near.astype(np.float64)) / 2, self.support, k, self.scale)[::-1]


def greedy_map(near: NDArray[np.float64], support: NDArray[np.float32], k: int, scale: float) -> list[int]:
    """Positions in the order of being chosen. `near`: similarity to the query in [0, 1], (pool,); `support`: unit vectors, (pool, hidden).

    The heights are those of S; the relevance comes in as a sum of logarithms, log r_i² + log height_i, so that nothing overflows.
    """
    own = (1 + np.einsum("nh,nh->n", support, support, dtype=np.float64)) / 2
    height = own.copy()  # squared distance of each example from the span of the chosen ones
    factor = np.zeros((k, len(support)))  # rows of the Cholesky factor
    chosen: list[int] = []
    left = np.ones(len(support), dtype=bool)
    while len(chosen) < k:
        open_ones = left & (height > NO_VOLUME * own)
        if not open_ones.any():
            rest = [int(i) for i in np.argsort(-near, kind="stable") if left[i]]
            return chosen + rest[: k - len(chosen)]
        gain = near / scale + np.log(np.where(open_ones, height, 1.0))
        best = int(np.argmax(np.where(open_ones, gain, -np.inf)))
        step = len(chosen)
        column = (1 + support @ support[best]).astype(np.float64) / 2
        factor[step] = (column - factor[:step, best] @ factor[:step]) / np.sqrt(height[best])
        height = height - factor[step] ** 2
        chosen.append(best)
        left[best] = False
    return chosen
