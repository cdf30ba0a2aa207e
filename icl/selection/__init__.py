"""Which support examples become demonstrations, and in which order: one strategy per file."""

from __future__ import annotations

from collections.abc import Callable

from icl.selection.balanced import BalancedSelector
from icl.selection.bm25 import BM25Selector
from icl.selection.condacc import CondAccSelector
from icl.selection.coverage import CoverageSelector
from icl.selection.dpp import DPPSelector
from icl.selection.epr import EPRSelector
from icl.selection.fixed import PREFIX, FixedSelector, named_ids
from icl.selection.kcenter import KCenterSelector
from icl.selection.knn import KNNSelector
from icl.selection.mdl import MDLSelector
from icl.selection.mmr import MMRSelector
from icl.selection.perplexity import PerplexitySelector
from icl.selection.random import RandomSelector
from icl.selection.stratified import StratifiedSelector
from icl.selection.types import Chooser, Embed, Judge, Means, Selector
from icl.selection.votek import VoteKSelector
from tasks.errors import IclError, unknown_name

SELECTORS: dict[str, Callable[[Means], Selector]] = {
    "random": lambda means: RandomSelector(),
    "balanced": lambda means: BalancedSelector(),
    "fixed": lambda means: FixedSelector(),
    "bm25": lambda means: BM25Selector(),
    "knn": lambda means: KNNSelector(means.embed),
    "bm25-stratified": lambda means: StratifiedSelector("bm25-stratified", BM25Selector()),
    "knn-stratified": lambda means: StratifiedSelector("knn-stratified", KNNSelector(means.embed)),
    "mmr": lambda means: MMRSelector(means.embed),
    "dpp": lambda means: DPPSelector(means.embed),
    "set-coverage": lambda means: CoverageSelector(means.embed),
    "votek": lambda means: VoteKSelector(means.embed),
    "k-center": lambda means: KCenterSelector(means.embed),
    "perplexity": lambda means: PerplexitySelector(means.judge),
    "mdl": lambda means: MDLSelector(means.embed, means.judge),
    "condacc": lambda means: CondAccSelector(means.judge),
    "epr": lambda means: EPRSelector(means.judge),
}
"""Name → constructor; a strategy that needs embeddings or scores takes them from the engine."""


def check_selector(name: str, shots: int) -> None:
    """Raises IclError for an unknown name, and for `fixed:ID,ID,…` that does not name as many examples as there are shots."""
    if not name.startswith(PREFIX):
        if name not in SELECTORS:
            raise unknown_name("selector", name, SELECTORS)
    elif len(ids := named_ids(name)) != shots:
        raise IclError(f"selector 'fixed:…' must name as many examples as there are shots, but names {len(ids)} for --shots {shots}")


def make_selector(name: str, means: Means) -> Selector:
    """The strategy of that name."""
    if name.startswith(PREFIX):
        return FixedSelector(named_ids(name))
    if name not in SELECTORS:
        raise unknown_name("selector", name, SELECTORS)
    return SELECTORS[name](means)


__all__ = ["SELECTORS", "Chooser", "Embed", "Judge", "Means", "Selector", "check_selector", "make_selector"]
