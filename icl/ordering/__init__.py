"""In which order the chosen demonstrations stand: one way per file."""

from __future__ import annotations

from collections.abc import Callable

from icl.ordering.alternating import AlternatingOrder
from icl.ordering.given import GivenOrder
from icl.ordering.random import RandomOrder
from icl.ordering.similarity import SimilarityOrder
from icl.ordering.types import Order
from icl.selection.types import Embed
from tasks.errors import IclError, unknown_name

ORDERS: dict[str, Callable[[Embed], Order]] = {
    "given": lambda embed: GivenOrder(),
    "random": lambda embed: RandomOrder(),
    "similarity-ascending": lambda embed: SimilarityOrder(embed),
    "similarity-descending": lambda embed: SimilarityOrder(embed, descending=True),
    "label-alternating": lambda embed: AlternatingOrder(),
}
"""Name → constructor; an order that needs embeddings takes them from the engine."""


def check_order(name: str, kind: str = "") -> None:
    """Raises IclError for an unknown name, and for one that does not serve this kind of task."""
    if name not in ORDERS:
        raise unknown_name("order", name, ORDERS)
    if name == "label-alternating" and kind == "generation":
        raise IclError("order 'label-alternating' needs a task with labels or choices, but this one has free answers; use --order random")


def make_order(name: str, embed: Embed) -> Order:
    """The order of that name."""
    check_order(name)
    return ORDERS[name](embed)


__all__ = ["ORDERS", "Order", "check_order", "make_order"]
