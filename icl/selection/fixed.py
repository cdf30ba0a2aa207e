"""Fixed demonstrations: the same ones in every episode, so that what varies is only the queries.

`fixed` takes the first k rows of the pool in its own order; `fixed:ID,ID,…` takes the named examples in the order given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from icl.selection.types import Chooser, check_enough
from tasks.errors import IclError, unknown_name
from tasks.types import Example, Query

PREFIX = "fixed:"


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


def named_ids(selector: str) -> tuple[str, ...]:
    """The ids of `fixed:ID,ID,…`. Raises IclError for none, an empty one, or one that stands twice."""
    ids = tuple(id.strip() for id in selector.removeprefix(PREFIX).split(","))
    if not all(ids):
        raise IclError(f"selector '{selector}' must name examples of the pool, as in fixed:ID,ID; 'fixed' alone takes the first ones")
    if twice := [id for i, id in enumerate(ids) if id in ids[:i]]:
        raise IclError(f"selector 'fixed:…' must name every example once, but names '{twice[0]}' twice")
    return ids
