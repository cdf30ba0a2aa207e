"""Random demonstrations: k of the pool without replacement, in random order (Brown et al. 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from icl.selection.types import Chooser, check_enough
from tasks.types import Example, Query


@dataclass(frozen=True)
class RandomSelector:
    """The baseline that every other strategy must beat."""

    per_query: bool = False

    def over(self, support: Sequence[Example], labels: Sequence[str]) -> Chooser:
        return _RandomChooser(len(support))


@dataclass(frozen=True)
class _RandomChooser:
    size: int

    def choose(self, query: Query | None, k: int, rng: np.random.Generator) -> list[int]:
        check_enough("random", k, self.size)
        return [int(i) for i in rng.choice(self.size, size=k, replace=False)]
