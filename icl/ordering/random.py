"""Random order: every permutation is as likely as any other. One per context: with retrieval one per query, else one per episode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from icl.ordering.types import Pool
from tasks.types import Example, Query


@dataclass(frozen=True)
class RandomOrder:
    """Breaks whatever a selector's order carries, such as nearest last."""

    per_query: bool = False

    def arrange(self, shown: Sequence[Example], pool: Pool, query: Query | None, rng: np.random.Generator) -> list[int]:
        return [int(i) for i in rng.permutation(len(shown))]
