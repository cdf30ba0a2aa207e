"""All pairs of a group's rows, draw by draw: which differences are more than luck, when the pair was picked after looking.

The best and the worst of m rows are one of m(m − 1)/2 pairs that could have been picked, so p-values are Holm's over all of them, and
intervals are Bonferroni's. Each pair is judged by the spread of its own differences. Why not the studentised range, and what a max-T
would gain: docs/statistics.md, with a simulation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from icl.intervals import Interval, holm

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Contrast:
    """a − b over the same draws."""

    mean: float
    interval: Interval | None
    """95 % for all pairs at once (Bonferroni); None for one draw."""
    p_adjusted: float | None
    """Holm over all pairs; None for one draw."""


class AllPairs:
    """Every pair of rows of `values` (rows, draws)."""

    def __init__(self, values: Sequence[Sequence[float]]) -> None:
        self.values = np.asarray(values, dtype=np.float64)
        rows, self.draws = self.values.shape
        self.a, self.b = np.triu_indices(rows, 1)
        self._adjusted = holm(_p_values(self.values[self.a] - self.values[self.b])) if self.draws > 1 and rows > 1 else None

    @property
    def count(self) -> int:
        """Pairs that could have been picked."""
        return len(self.a)

    def contrast(self, a: int, b: int) -> Contrast:
        """Row a minus row b."""
        difference = self.values[a] - self.values[b]
        mean = float(difference.mean())
        if self._adjusted is None:
            return Contrast(mean, None, None)
        half = least_t(self.count, self.draws) * float(difference.std(ddof=1)) / self.draws**0.5
        return Contrast(mean, (mean - half, mean + half), self._adjusted[self._place(min(a, b), max(a, b))])

    def _place(self, a: int, b: int) -> int:
        """Of the pair a < b in the order of `triu_indices`."""
        return a * len(self.values) - a * (a + 1) // 2 + b - a - 1


def _p_values(differences: Array) -> list[float]:
    """Two-sided paired t tests, (pairs, draws) → p, as `icl.intervals.paired_difference` has them."""
    from scipy import stats

    n = differences.shape[1]
    mean, spread = differences.mean(axis=1), differences.std(axis=1, ddof=1)
    largest = np.abs(differences).max(axis=1)
    constant = spread <= 1e-12 * largest
    t = np.abs(mean) * n**0.5 / np.where(constant, 1.0, spread)
    p = np.where(constant, 2.0 ** (1 - n), 2.0 * stats.t.sf(t, n - 1))
    return [float(value) for value in np.where(largest == 0, 1.0, p)]


def least_t(pairs: int, draws: int) -> float:
    """How many standard errors a difference must measure to count among so many pairs, at 5 %."""
    from scipy import stats

    return float(stats.t.ppf(1 - 0.025 / max(pairs, 1), draws - 1))


def held_out(values: Sequence[Sequence[float]], higher_is_better: bool) -> float | None:
    """Mean of what the best row of the other draws has in the draw left out: the winner's value without the luck of having been picked.

    None for one draw. Rows that tie share.
    """
    of = np.asarray(values, dtype=np.float64)
    draws = of.shape[1]
    if draws < 2:
        return None
    means = (of.sum(axis=1, keepdims=True) - of) / (draws - 1)
    means = means if higher_is_better else -means
    best = means >= means.max(axis=0, keepdims=True) - 1e-12
    return float(((of * best).sum(axis=0) / best.sum(axis=0)).mean())
