"""Average ranks over sources, with ties (after Triantafillou et al. 2020): learners that the data cannot tell apart share a rank.

On every source the best remaining learner leads; whoever's paired difference to it has a 95 % interval that holds 0 is tied with it, and
all of them get the mean of the places that they take up. Then the next best leads. (The paper tests
unpaired means; the episodes here are paired.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from icl.intervals import paired_difference


def ranks(values: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Learner → rank, 1 the best. `values`: accuracy per episode, the same episodes for all."""
    left = sorted(values, key=lambda name: -float(np.mean(values[name])))
    found: dict[str, float] = {}
    while left:
        tied = [name for name in left if name == left[0] or _tied(values[left[0]], values[name])]
        place = len(found) + (len(tied) + 1) / 2
        found |= dict.fromkeys(tied, place)
        left = [name for name in left if name not in tied]
    return {name: found[name] for name in values}


def _tied(best: Sequence[float], other: Sequence[float]) -> bool:
    interval = paired_difference(best, other).ci95
    return interval is None or interval[0] <= 0.0 <= interval[1]


def average_ranks(by_source: Mapping[str, Mapping[str, Sequence[float]]]) -> dict[str, float]:
    """Learner → mean of its ranks on the sources."""
    of = [ranks(values) for values in by_source.values()]
    return {name: float(np.mean([ranked[name] for ranked in of])) for name in of[0]} if of else {}
