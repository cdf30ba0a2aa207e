"""Fixed demonstrations: the same ones in every episode, so that what varies is only the queries.

`fixed` takes the first k rows of the pool in its own order; `fixed:ID,ID,…` takes the named examples in the order given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from icl.selection.types import Chooser, check_enough
from tasks.errors import unknown_name
from tasks.types import Example, Query


@dataclass(frozen=True)
class FixedSelector:
    """`ids` is empty for "the first k"."""

    ids: tuple[str, ...] = ()
    per_query: bool = False

    def over(self, support: Sequence[Example], labels: Sequence[str]) -> Chooser:
        if not self.ids:
            return _FixedChooser(tuple(range(len(support))))
        position = {id: i for i, id in enumerate(getattr(support, "ids", None) or [example.id for example in support])}
        for id in self.ids:
            if id not in position:
                raise unknown_name("example in the support pool", id, position)
        return _FixedChooser(tuple(position[id] for id in self.ids))


@dataclass(frozen=True)
class _FixedChooser:
    order: tuple[int, ...]

    def choose(self, query: Query | None, k: int, rng: np.random.Generator) -> list[int]:
        check_enough("fixed", k, len(self.order))
        return list(self.order[:k])
