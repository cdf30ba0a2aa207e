"""KATE: the k nearest support examples by cosine of sentence embeddings, nearest last (Liu et al. 2022).

sim(x, e) = <h(x), h(e)> / |h(x)| |h(e)|, with h the mean of the evaluated model's last hidden states over the input's tokens.
Ties fall to the example that stands earlier in the pool.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from icl.selection.types import Chooser, Embed, check_enough, embed_pool, text_of, unit
from tasks.types import Example, Query


@dataclass(frozen=True)
class KNNSelector:
    """Asked once per query; the pool is embedded once."""

    embed: Embed
    per_query: bool = True

    def over(self, support: Sequence[Example], labels: Sequence[str]) -> Chooser:
        return _KNNChooser(self.embed, embed_pool(self.embed, support))


@dataclass(frozen=True)
class _KNNChooser:
    embed: Embed
    support: NDArray[np.float32]
    """Unit vectors, (pool, hidden)."""

    def choose(self, query: Query | None, k: int, rng: np.random.Generator) -> list[int]:
        assert query is not None
        check_enough("knn", k, len(self.support))
        similarity = self.support @ unit(self.embed([text_of(query)]))[0]
        best = np.argsort(-similarity, kind="stable")[:k]
        return [int(i) for i in best[::-1]]
