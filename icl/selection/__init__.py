"""Which support examples become demonstrations, and in which order: one strategy per file."""

from __future__ import annotations

from collections.abc import Callable

from icl.selection.balanced import BalancedSelector
from icl.selection.bm25 import BM25Selector
from icl.selection.fixed import FixedSelector
from icl.selection.knn import KNNSelector
from icl.selection.random import RandomSelector
from icl.selection.types import Chooser, Embed, Selector
from tasks.errors import unknown_name

SELECTORS: dict[str, Callable[[Embed], Selector]] = {
    "random": lambda embed: RandomSelector(),
    "balanced": lambda embed: BalancedSelector(),
    "fixed": lambda embed: FixedSelector(),
    "bm25": lambda embed: BM25Selector(),
    "knn": lambda embed: KNNSelector(embed),
}
"""Name → constructor; a strategy that needs embeddings takes them from the engine."""


def check_selector(name: str) -> None:
    """Raises IclError for an unknown name; `fixed:ID,ID` is known."""
    if name not in SELECTORS and not name.startswith("fixed:"):
        raise unknown_name("selector", name, SELECTORS)


def make_selector(name: str, embed: Embed) -> Selector:
    """The strategy of that name."""
    check_selector(name)
    if name.startswith("fixed:"):
        return FixedSelector(tuple(id.strip() for id in name.removeprefix("fixed:").split(",") if id.strip()))
    return SELECTORS[name](embed)


__all__ = ["SELECTORS", "Chooser", "Embed", "Selector", "check_selector", "make_selector"]
