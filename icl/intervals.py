"""Means over episodes with their uncertainty. What each interval means, and why: docs/statistics.md.

Primary: Student's t over episodes (this split's mean over episode draws). From 20 episodes on also a bootstrap crossed over episodes and
queries (mean over new episodes *and* new queries). Below them the paired contrasts of two methods on the same episodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icl.metrics import METRICS, AnyOutcome, CalibrationError, Metric, Outcome, ece, expected_if_perfect, get_metric
from tasks.errors import IclError
from tasks.rng import keyed_rng

Array = NDArray[np.float64]
Interval = tuple[float, float]

BOOTSTRAP_FROM = 20
"""Fewest episodes for the crossed bootstrap."""
BOOTSTRAP_DRAWS = 1000
_BLOCK = 500_000
"""Weights drawn at a time: bounds the memory; the stream, and so the result, does not depend on it."""


@dataclass(frozen=True)
class Estimate:
    """A metric over episodes."""

    mean: float
    """Mean over episodes; for `ece` the value of all queries pooled."""
    ci95: Interval | None
    """95 %, Student's t over episodes (`ece`: jackknife over episodes); None for one episode."""
    bootstrap95: Interval | None
    """95 %, crossed over episodes and queries; None below 20 episodes and for `ece`."""
    per_episode: tuple[float, ...]
    worst: float
    best: float
    bias: float | None = None
    """`ece` only: what a perfectly calibrated model with the same confidences would show."""

    def to_json(self) -> dict[str, Any]:
        """Plain floats and lists, None where there is no interval; `bias` only where there is one."""
        out: dict[str, Any] = {
            "mean": self.mean,
            "ci95": list(self.ci95) if self.ci95 else None,
            "bootstrap95": list(self.bootstrap95) if self.bootstrap95 else None,
            "per_episode": list(self.per_episode),
        }
        return out if self.bias is None else {**out, "bias": self.bias}


def summarise(outcomes: Sequence[AnyOutcome], metrics: Iterable[str] | None = None, draws: int = BOOTSTRAP_DRAWS) -> dict[str, Estimate]:
    """Metric → estimate over the episodes' outcomes; `metrics` of None means all.

    What has no meaning for every outcome is left out: label metrics unless the candidates are fixed, text metrics for choices.
    Raises IclError for an unknown metric, for no episode, and for an episode whose value is not a finite number.
    """
    if not outcomes:
        raise IclError("a summary needs at least one episode, but there is none")
    chosen = [get_metric(name) for name in (METRICS if metrics is None else metrics)]
    applicable = [metric for metric in chosen if all(metric.applies(outcome) for outcome in outcomes)]
    return {metric.name: _estimate(metric, outcomes, draws) for metric in applicable}


def _estimate(metric: Metric, outcomes: Sequence[AnyOutcome], draws: int) -> Estimate:
    values = np.array([float(metric(outcome)) for outcome in outcomes])
    _check_finite(metric.name, values)
    ends = (float(values.min()), float(values.max()))
    worst, best = ends if metric.higher_is_better else ends[::-1]
    per_episode = tuple(values.tolist())
    if isinstance(metric, CalibrationError):
        chosen = [outcome for outcome in outcomes if isinstance(outcome, Outcome)]
        mean, interval, bias = pooled_ece(chosen)
        return Estimate(mean, interval, None, per_episode, worst, best, bias)
    bootstrap = crossed_bootstrap(metric, outcomes, draws) if len(outcomes) >= BOOTSTRAP_FROM else None
    return Estimate(float(values.mean()), t_interval(values), bootstrap, per_episode, worst, best)


def t_quantile(n: int) -> float:
    """97.5 % quantile of Student's t with n − 1 degrees of freedom."""
    from scipy import stats

    return float(stats.t.ppf(0.975, n - 1))


def t_interval(values: Sequence[float] | Array) -> Interval | None:
    """95 % interval of the mean, mean ± t₀.₉₇₅(n − 1) s / √n; None below two values. Raises IclError for NaN or infinite values."""
    values = np.asarray(values, dtype=np.float64)
    _check_finite("values", values)
    if len(values) < 2:
        return None
    half = t_quantile(len(values)) * float(values.std(ddof=1)) / len(values) ** 0.5
    mean = float(values.mean())
    return (mean - half, mean + half)


def crossed_bootstrap(metric: Metric, outcomes: Sequence[AnyOutcome], draws: int = BOOTSTRAP_DRAWS) -> Interval:
    """95 % interval of the mean over new episodes and new queries. Needs two episodes; meant for 20 or more.

    Shape from product weights (Owen & Eckles 2012), width from the two-way cluster variance (Cameron, Gelbach & Miller 2011): the product
    weights alone count the noise of single cells three times.
    """
    values = np.array([float(metric(outcome)) for outcome in outcomes])
    place, position = _query_positions(outcomes)
    rng = keyed_rng(0, "bootstrap", metric.name)
    episode_weights = rng.standard_exponential((draws, len(outcomes)))
    resampled = np.empty(draws)
    block = max(1, _BLOCK // position)
    for start in range(0, draws, block):
        rows = slice(start, min(start + block, draws))
        query_weights = rng.standard_exponential((rows.stop - rows.start, position))
        within = np.stack([metric(o, query_weights[:, p]) for o, p in zip(outcomes, place, strict=True)], axis=1)
        resampled[rows] = (episode_weights[rows] * within).sum(axis=1) / episode_weights[rows].sum(axis=1)
    deviations = resampled - resampled.mean()
    spread = float(deviations.std())
    wanted = crossed_variance(values, [metric.influence(o) for o in outcomes], place) ** 0.5
    # 1.96 is the normal quantile: the variance rests on E − 1 degrees of freedom, so the width is Student's.
    scale = wanted / spread * t_quantile(len(outcomes)) / 1.959963984540054 if spread > 0 else 0.0
    low, high = (float(values.mean()) + scale * np.quantile(deviations, [0.025, 0.975])).tolist()
    return (low, high)


def crossed_variance(values: Array, influences: Sequence[Array], place: Sequence[NDArray[np.int64]]) -> float:
    """Variance of the mean of per-episode `values` (E,) over new episodes and new queries.

    V = V_episode + max(0, V_query − V_cell). V_episode = s² / E. The bracket is the covariance between episodes that shared queries make:
    (1 / E²) Σ_q [(Σ_e ψ_eq)² − Σ_e ψ_eq²], with ψ_eq the influence of query q on episode e; 0 exactly when no query is in two episodes.
    """
    episodes = len(values)
    size = 1 + max(int(p.max()) for p in place)
    sums, squares = np.zeros(size), np.zeros(size)
    for influence, p in zip(influences, place, strict=True):
        n = len(influence)
        freed = influence * (n / max(n - 1, 1)) ** 0.5  # influences are centred on their own episode, which shrinks them
        sums[p] += freed
        squares[p] += freed**2
    shared = np.bincount(np.concatenate(place), minlength=size) > 1
    between = float((sums[shared] ** 2 - squares[shared]).sum()) / episodes**2
    return float(values.var(ddof=1)) / episodes + max(0.0, between)


def _query_positions(outcomes: Sequence[AnyOutcome]) -> tuple[list[NDArray[np.int64]], int]:
    """Per episode the positions of its queries among all distinct ones, and how many distinct ones there are."""
    known: dict[str, int] = {}
    place = [np.array([known.setdefault(id, len(known)) for id in outcome.query_ids], dtype=np.int64) for outcome in outcomes]
    return place, len(known)


def pooled_ece(outcomes: Sequence[Outcome]) -> tuple[float, Interval | None, float]:
    """Calibration error of all queries together, its delete-one-episode jackknife interval (None for one episode), and its bias."""
    confidence = np.concatenate([outcome.confidence for outcome in outcomes])
    correct = np.concatenate([outcome.correct for outcome in outcomes])
    value, bias = ece(confidence, correct), expected_if_perfect(confidence)
    n = len(outcomes)
    if n < 2:
        return value, None, bias
    owner = np.repeat(np.arange(n), [len(outcome.query_ids) for outcome in outcomes])
    without = np.array([ece(confidence[owner != e], correct[owner != e]) for e in range(n)])
    half = t_quantile(n) * ((n - 1) / n * float(((without - without.mean()) ** 2).sum())) ** 0.5
    return value, (value - half, value + half), bias


def _check_finite(what: str, values: Array) -> None:
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise IclError(
            f"{what} must be finite in every episode, but episode number {bad[0] + 1} has {values[bad[0]]}; "
            "a failed episode counts as chance and is never left out"
        )


@dataclass(frozen=True)
class PairedDifference:
    """a − b over the same episodes."""

    mean: float
    ci95: Interval | None
    """95 %, Student's t over episodes; None for one episode."""
    p_value: float | None
    """Two-sided paired t test; None for one episode."""
    per_episode: tuple[float, ...]


def paired_difference(a: Sequence[float], b: Sequence[float]) -> PairedDifference:
    """Mean difference of per-episode values with its interval and p-value. Raises IclError for unequal lengths and values not finite.

    All differences exactly 0: p = 1. All equal and not 0: the t statistic is infinite, so p is that of the exact sign-flip test, 2^(1 − n),
    the smallest that n pairs can support.
    """
    if len(a) != len(b) or not len(a):
        raise IclError(f"a paired difference needs the same episodes on both sides, but got {len(a)} and {len(b)}")
    difference = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    interval = t_interval(difference)
    return PairedDifference(float(difference.mean()), interval, _paired_p(difference), tuple(difference.tolist()))


def _paired_p(difference: Array) -> float | None:
    from scipy import stats

    n = len(difference)
    if not difference.any():
        return 1.0
    if n < 2:
        return None
    spread = float(difference.std(ddof=1))
    # Equal differences of floats (0.8 − 0.7, 0.7 − 0.6) differ by rounding error.
    if spread <= 1e-12 * float(np.abs(difference).max()):
        return float(2.0 ** (1 - n))
    return float(2.0 * stats.t.sf(abs(float(difference.mean())) * n**0.5 / spread, n - 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values of Holm (1979), in the order given: step-down, never decreasing, at most 1. Raises IclError outside [0, 1]."""
    p = np.asarray(p_values, dtype=np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise IclError(f"p-values must lie in [0, 1], but got {list(p_values)}")
    order = np.argsort(p, kind="stable")
    stepped = np.minimum(1.0, np.maximum.accumulate((len(p) - np.arange(len(p))) * p[order]))
    adjusted = np.empty_like(p)
    adjusted[order] = stepped
    return [float(value) for value in adjusted]


@dataclass(frozen=True)
class McNemar:
    """Two methods on the same queries of one episode."""

    only_a: int
    """Queries that a alone gets right."""
    only_b: int
    p_value: float


def mcnemar(a_correct: Sequence[bool], b_correct: Sequence[bool]) -> McNemar:
    """McNemar's exact test, two-sided binomial over the queries on which the two differ. Within one episode only: queries of different
    episodes are not independent pairs. Raises IclError for unequal lengths."""
    from scipy import stats

    if len(a_correct) != len(b_correct):
        raise IclError(f"McNemar's test needs the same queries on both sides, but got {len(a_correct)} and {len(b_correct)}")
    a, b = np.asarray(a_correct, dtype=bool), np.asarray(b_correct, dtype=bool)
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    if only_a + only_b == 0:
        return McNemar(0, 0, 1.0)
    return McNemar(only_a, only_b, float(stats.binomtest(only_a, only_a + only_b, 0.5).pvalue))
