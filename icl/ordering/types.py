"""Orders: how the chosen demonstrations stand in the context. An order changes no membership: it is a permutation of what was selected.

It sees the query without its answer, and its randomness is keyed by (seed, episode, query).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tasks.types import Example, Query


@dataclass(frozen=True)
class Pool:
    """Where the demonstrations came from."""

    examples: Sequence[Example]
    labels: Sequence[str]
    """In play; empty when the task has none."""


class Order(Protocol):
    """A way of arranging demonstrations."""

    @property
    def per_query(self) -> bool:
        """Whether every query gets an order of its own."""
        ...

    def arrange(self, shown: Sequence[Example], pool: Pool, query: Query | None, rng: np.random.Generator) -> list[int]:
        """A permutation of the positions of `shown`, in the order in which they will stand. `query` is None unless per query."""
        ...
