"""How a number varies over prompts, split into what varied: a random-effects analysis of variance of a complete, balanced design.

Two chains of nested factors are crossed: the context (draw of demonstrations, order within the draw) and the wording (template, format
within the template, label words within the format). Every term (i, j) is the i-th level of the one with the j-th of the other:

    y = mean + Σ u_ij        E[MS_ij] = Σ_{i' ≥ i, j' ≥ j} r_i'j' σ²_i'j'        r_ij = cells / (contexts at level i × wordings at level j)

Solving for σ² is the method of moments, exact for balanced data. Intervals are generalised confidence intervals (Weerahandi 1993): under
normal effects SS_ij / E[MS_ij] is χ² with df_ij degrees of freedom, so each draw of those χ² gives one possible set of σ², cut at 0.

All queries are the same in all cells, so a component holds, besides the factor itself, how the factor acts on just these queries, divided
by their number. `with_all_queries` takes that part out: with A the component of the mean over Q queries and B the mean of the Q
components of single queries, E[A] = σ² + σ²_query/Q and E[B] = σ² + σ²_query, so σ² = (Q A − B) / (Q − 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.rng import keyed_rng

Array = NDArray[np.float64]
Interval = tuple[float, float]
Term = tuple[int, int]

FACTORS = ("draw", "order", "template", "format", "words")
"""The axes of the design: the first two are the context, the others the wording."""
CONTEXTS = 2
"""Axes that make the context."""
INTERACTIONS = ("draw_wording", "order_wording")
"""Of a level of the context with all of the wording: a demonstration that helps under one template and not under another."""
DRAWS = 4000
EQUAL = 1e-12
"""Relative difference of means that is rounding error."""
NORMAL = 1.959963984540054


@dataclass(frozen=True)
class Component:
    """One source of variance."""

    name: str
    """A factor or an interaction."""
    variance: float
    """On these queries; not below 0."""
    sd_ci95: Interval
    share: float | None
    """Of the total; None where nothing varies."""
    share_ci95: Interval | None
    with_all_queries: float
    """Variance that would remain with endlessly many queries; not below 0."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "variance": self.variance,
            "sd": self.variance**0.5,
            "sd_ci95": list(self.sd_ci95),
            "share": self.share,
            "share_ci95": list(self.share_ci95) if self.share_ci95 else None,
            "sd_with_all_queries": self.with_all_queries**0.5,
        }


@dataclass(frozen=True)
class Decomposition:
    """A metric over all cells."""

    mean: float
    low: float
    """Of the cells."""
    high: float
    components: tuple[Component, ...]
    sd: float
    """Of one prompt drawn at random: the root of the sum of all components."""
    sd_ci95: Interval
    sd_with_all_queries: float
    query_se: float
    """Standard error of one prompt's mean from drawing its queries."""

    def to_json(self) -> dict[str, Any]:
        """Plain values; `margin95` is 1.96 standard deviations."""
        return {
            "mean": self.mean,
            "low": self.low,
            "high": self.high,
            "sd": self.sd,
            "sd_ci95": list(self.sd_ci95),
            "margin95": NORMAL * self.sd,
            "sd_with_all_queries": self.sd_with_all_queries,
            "query_se": self.query_se,
            "components": {component.name: component.to_json() for component in self.components},
        }


def decompose(values: Array, key: str) -> Decomposition:
    """`values`: (draw, order, template, format, words, query), the metric of each query in each cell; `key` keys the interval's draws.

    Needs two queries, and two levels of some factor.
    """
    means = values.mean(axis=-1)
    design = Design(means.shape)
    squares = design.squares(means)
    if np.ptp(means) <= EQUAL * max(1.0, float(np.abs(means).max())):
        squares = np.zeros_like(squares)  # what differs is rounding
    estimated = _grouped(design.solve(squares), design.terms)
    possible = _grouped(design.solve(_simulated(squares, design, key)), design.terms)
    single = design.solve(design.squares(values).mean(axis=-1))
    count = values.shape[-1]
    all_queries = _grouped((count * design.solve(squares) - single) / (count - 1), design.terms)
    total, totals = sum(estimated.values()), sum(possible.values())
    assert isinstance(totals, np.ndarray)
    components = tuple(
        Component(
            name=name,
            variance=float(variance),
            sd_ci95=_ends(possible[name] ** 0.5),
            share=float(variance / total) if total > 0 else None,
            share_ci95=_ends(possible[name] / np.where(totals > 0, totals, 1.0)) if total > 0 else None,
            with_all_queries=float(all_queries[name]),
        )
        for name, variance in estimated.items()
    )
    return Decomposition(
        mean=float(means.mean()),
        low=float(means.min()),
        high=float(means.max()),
        components=components,
        sd=float(total) ** 0.5,
        sd_ci95=_ends(totals**0.5),
        sd_with_all_queries=float(sum(all_queries.values())) ** 0.5,
        query_se=float(values.var(axis=-1, ddof=1).mean() / count) ** 0.5,
    )


class Design:
    """The terms of a design of that shape (draw, order, template, format, words), and its expected mean squares."""

    def __init__(self, shape: Sequence[int]) -> None:
        self.shape = tuple(shape)
        self.contexts = _cumulated(self.shape[:CONTEXTS])
        self.wordings = _cumulated(self.shape[CONTEXTS:])
        every = [(i, j) for i in range(len(self.contexts)) for j in range(len(self.wordings))]
        self.terms: list[Term] = [term for term in every[1:] if self.freedom(term)]
        """Those with degrees of freedom: a factor of one level has none."""
        expected = [[self._repeats(b) if b[0] >= a[0] and b[1] >= a[1] else 0.0 for b in self.terms] for a in self.terms]
        self._inverse = np.linalg.inv(np.array(expected))

    def freedom(self, term: Term) -> int:
        """Degrees of freedom."""
        return _step(self.contexts, term[0]) * _step(self.wordings, term[1])

    def squares(self, values: Array) -> Array:
        """Mean squares of every term: (terms, …) for values of (*shape, …)."""
        return np.stack([self._sum_of_squares(values, term) / self.freedom(term) for term in self.terms])

    def solve(self, squares: Array) -> Array:
        """Mean squares (terms, …) → variances of the same shape; chance may make them negative."""
        return np.tensordot(self._inverse, squares, axes=1)

    def _sum_of_squares(self, values: Array, term: Term) -> Array:
        i, j = term
        deviation = self._mean(values, i, j)
        if i:
            deviation = deviation - self._mean(values, i - 1, j)
        if j:
            deviation = deviation - self._mean(values, i, j - 1)
        if i and j:
            deviation = deviation + self._mean(values, i - 1, j - 1)
        axes = tuple(range(len(self.shape)))
        out: Array = (np.broadcast_to(deviation, values.shape) ** 2).sum(axis=axes)
        return out

    def _mean(self, values: Array, i: int, j: int) -> Array:
        """Over all levels below the i-th of the context and the j-th of the wording."""
        axes = (*range(i, CONTEXTS), *range(CONTEXTS + j, len(self.shape)))
        mean: Array = values.mean(axis=axes, keepdims=True)
        return mean

    def _repeats(self, term: Term) -> float:
        return float(np.prod(self.shape)) / (self.contexts[term[0]] * self.wordings[term[1]])


def _cumulated(levels: Sequence[int]) -> list[int]:
    """1, then how many different values there are down to each level."""
    return [1, *np.cumprod(levels).tolist()]


def _step(counts: Sequence[int], level: int) -> int:
    return counts[level] - counts[level - 1] if level else 1


def _grouped(variances: Array, terms: Sequence[Term]) -> dict[str, Any]:
    """Source → variance: terms of a context with any level of the wording together, then cut at 0. Cutting each first would add bias."""
    out: dict[str, Any] = {}
    for variance, (i, j) in zip(variances, terms, strict=True):
        name = INTERACTIONS[i - 1] if i and j else FACTORS[i - 1] if i else FACTORS[CONTEXTS + j - 1]
        out[name] = out.get(name, 0.0) + variance
    return {name: np.maximum(out[name], 0.0) for name in (*FACTORS, *INTERACTIONS) if name in out}


def _simulated(squares: Array, design: Design, key: str) -> Array:
    """(terms, draws): mean squares as they could have been expected to be, given what was seen."""
    rng = keyed_rng(0, "components", key)
    freedom = np.array([design.freedom(term) for term in design.terms], dtype=np.float64)[:, None]
    out: Array = squares[:, None] * freedom / rng.chisquare(freedom, size=(len(freedom), DRAWS))
    return out


def _ends(values: Array) -> Interval:
    low, high = np.quantile(values, [0.025, 0.975]).tolist()
    return (low, high)
