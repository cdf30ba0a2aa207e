"""Orders: how the chosen demonstrations stand in the context. An order changes no membership: it is a permutation of what was selected.

It sees the query without its answer, and its randomness is keyed by (seed, episode, query).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from tasks.types import Example, Query


class Order(Protocol):
    """A way of arranging demonstrations."""

    @property
    def per_query(self) -> bool:
        """Whether every query gets an order of its own."""
        ...

    def arrange(self, shown: Sequence[Example], query: Query | None, rng: np.random.Generator) -> list[int]:
        """A permutation of the positions of `shown`, in the order in which they will stand. `query` is None unless per query."""
        ...
