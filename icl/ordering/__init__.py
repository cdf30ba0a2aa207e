"""In which order the chosen demonstrations stand: one way per file."""

from __future__ import annotations

from collections.abc import Callable

from icl.ordering.alternating import AlternatingOrder
from icl.ordering.given import GivenOrder
from icl.ordering.probing import ProbingOrder, global_entropy, likelihood, local_entropy
from icl.ordering.random import RandomOrder
from icl.ordering.similarity import SimilarityOrder
from icl.ordering.types import Order, Pool
from icl.selection.types import Means
from tasks.errors import IclError, unknown_name

ORDERS: dict[str, Callable[[Means], Order]] = {
    "given": lambda means: GivenOrder(),
    "random": lambda means: RandomOrder(),
    "similarity-ascending": lambda means: SimilarityOrder(means.embed),
    "similarity-descending": lambda means: SimilarityOrder(means.embed, descending=True),
    "label-alternating": lambda means: AlternatingOrder(),
    "global-entropy": lambda means: ProbingOrder("global-entropy", means.judge, global_entropy),
    "local-entropy": lambda means: ProbingOrder("local-entropy", means.judge, local_entropy),
    "exhaustive": lambda means: ProbingOrder("exhaustive", means.judge, likelihood, exhaustive=True),
}
"""Name → constructor; an order that needs embeddings or scores takes them from the engine."""

NEED_LABELS = ("label-alternating", "global-entropy", "local-entropy", "exhaustive")


def check_order(name: str, kind: str = "") -> None:
    """Raises IclError for an unknown name, and for one that does not serve this kind of task."""
    if name not in ORDERS:
        raise unknown_name("order", name, ORDERS)
    if name in NEED_LABELS and kind == "generation":
        raise IclError(f"order '{name}' needs a task with labels or choices, but this one has free answers; use --order random")
    if name == "global-entropy" and kind == "multiple_choice":
        raise IclError("order 'global-entropy' needs the same labels for every query, but this task has choices; use --order local-entropy")


def make_order(name: str, means: Means) -> Order:
    """The order of that name."""
    check_order(name)
    return ORDERS[name](means)


__all__ = ["ORDERS", "Order", "Pool", "check_order", "make_order"]
