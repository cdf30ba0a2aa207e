"""Which support examples become demonstrations, and in which order: one strategy per file."""

from __future__ import annotations

from collections.abc import Callable

from icl.selection.balanced import BalancedSelector
from icl.selection.bm25 import BM25Selector
from icl.selection.coverage import CoverageSelector
from icl.selection.dpp import DPPSelector
from icl.selection.fixed import PREFIX, FixedSelector, named_ids
from icl.selection.kcenter import KCenterSelector
from icl.selection.knn import KNNSelector
from icl.selection.mmr import MMRSelector
from icl.selection.random import RandomSelector
from icl.selection.stratified import StratifiedSelector
from icl.selection.types import Chooser, Embed, Selector
from icl.selection.votek import VoteKSelector
from tasks.errors import IclError, unknown_name

SELECTORS: dict[str, Callable[[Embed], Selector]] = {
    "random": lambda embed: RandomSelector(),
    "balanced": lambda embed: BalancedSelector(),
    "fixed": lambda embed: FixedSelector(),
    "bm25": lambda embed: BM25Selector(),
    "knn": lambda embed: KNNSelector(embed),
    "bm25-stratified": lambda embed: StratifiedSelector("bm25-stratified", BM25Selector()),
    "knn-stratified": lambda embed: StratifiedSelector("knn-stratified", KNNSelector(embed)),
    "mmr": lambda embed: MMRSelector(embed),
    "dpp": lambda embed: DPPSelector(embed),
    "set-coverage": lambda embed: CoverageSelector(embed),
    "votek": lambda embed: VoteKSelector(embed),
    "k-center": lambda embed: KCenterSelector(embed),
}
"""Name → constructor; a strategy that needs embeddings takes them from the engine."""


def check_selector(name: str, shots: int) -> None:
    """Raises IclError for an unknown name, and for `fixed:ID,ID,…` that does not name as many examples as there are shots."""
    if not name.startswith(PREFIX):
        if name not in SELECTORS:
            raise unknown_name("selector", name, SELECTORS)
    elif len(ids := named_ids(name)) != shots:
        raise IclError(f"selector 'fixed:…' must name as many examples as there are shots, but names {len(ids)} for --shots {shots}")


def make_selector(name: str, embed: Embed) -> Selector:
    """The strategy of that name."""
    if name.startswith(PREFIX):
        return FixedSelector(named_ids(name))
    if name not in SELECTORS:
        raise unknown_name("selector", name, SELECTORS)
    return SELECTORS[name](embed)


__all__ = ["SELECTORS", "Chooser", "Embed", "Selector", "check_selector", "make_selector"]
