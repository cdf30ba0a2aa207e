"""Vote-k: demonstrations that many others of the pool are near to, and that are far from each other (fast vote-k, Su et al. 2023).

Every example votes for its 150 nearest neighbours by cosine (for all others in a smaller pool). Step by step the example with the most
votes is taken: arg max_u Σ over v not chosen, voting for u, of 10^(−number of chosen examples that v votes for). So who is represented
already counts little. The set is the same for all queries. Ties fall to the example that stands earlier in the pool. The paper annotates
such a set and then retrieves from it; here the set itself is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from icl.selection.types import Chooser, Embed, check_enough, embed_pool
from tasks.types import Example, Query

NEIGHBOURS = 150
BLOCK = 1024
"""Rows of similarities that are in memory at once."""


@dataclass(frozen=True)
class VoteKSelector:
    """Needs no query: representative of the pool."""

    embed: Embed
    neighbours: int = NEIGHBOURS
    per_query: bool = False

    def over(self, support: Sequence[Example], labels: Sequence[str]) -> Chooser:
        return _VoteKChooser(nearest(embed_pool(self.embed, support), self.neighbours))


@dataclass(frozen=True)
class _VoteKChooser:
    votes: NDArray[np.int64]
    """Positions that each example votes for, (pool, neighbours)."""

    def choose(self, query: Query | None, k: int, rng: np.random.Generator) -> list[int]:
        check_enough("votek", k, len(self.votes))
        size = len(self.votes)
        represented = np.zeros(size)  # how many chosen examples each one votes for
        left = np.ones(size, dtype=bool)
        chosen: list[int] = []
        for _ in range(k):
            weight = np.where(left, 10.0**-represented, 0.0)
            score = np.bincount(self.votes.ravel(), np.repeat(weight, self.votes.shape[1]), minlength=size)
            best = int(np.argmax(np.where(left, score, -np.inf)))
            chosen.append(best)
            left[best] = False
            represented += (self.votes == best).any(axis=1)
        return chosen


def nearest(vectors: NDArray[np.float32], neighbours: int) -> NDArray[np.int64]:
    """The nearest others of each row by dot product, (rows, neighbours), or all others where there are fewer."""
    count = min(neighbours, len(vectors) - 1)
    found = np.zeros((len(vectors), max(count, 0)), dtype=np.int64)
    for start in range(0, len(vectors), BLOCK):
        similarity = vectors[start : start + BLOCK] @ vectors.T
        own = np.arange(len(similarity))
        similarity[own, start + own] = -np.inf
        found[start : start + BLOCK] = np.argsort(-similarity, axis=1, kind="stable")[:, :count]
    return found
