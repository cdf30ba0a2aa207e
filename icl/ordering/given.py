"""As given: the order that the selector chose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from icl.ordering.types import Pool
from tasks.types import Example, Query


@dataclass(frozen=True)
class GivenOrder:
    """Changes nothing."""

    per_query: bool = False

    def arrange(self, shown: Sequence[Example], pool: Pool, query: Query | None, rng: np.random.Generator) -> list[int]:
        return list(range(len(shown)))
