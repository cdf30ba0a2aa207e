"""Metrics of the confusion table: macro-F1, multi-class Matthews correlation, label bias. They need a fixed label set.

All three are functions of three vectors over labels: weight predicted and right, weight predicted, weight true.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from icl.metrics.types import AnyOutcome, Array, Indices, Outcome

STEP = 1e-5
"""Step of the central difference behind `influence`."""


@dataclass(frozen=True)
class LabelCounts:
    """Weights by label; each array has shape (..., n_label)."""

    hit: Array
    """Predicted and true."""
    predicted: Array
    true: Array


def count_labels(outcome: Outcome, weights: Array) -> LabelCounts:
    """Counts for weights (..., n_query)."""
    size = outcome.log_probs.shape[1]
    right = np.flatnonzero(outcome.correct)
    return LabelCounts(
        _sum_by(weights[..., right], outcome.target[right], size),
        _sum_by(weights, outcome.predicted, size),
        _sum_by(weights, outcome.target, size),
    )


def _sum_by(weights: Array, index: Indices, size: int) -> Array:
    """(..., n) weights summed by index (n,) → (..., size), in an order that does not depend on threads."""
    sums = np.zeros((*weights.shape[:-1], size))
    if len(index):
        order = np.argsort(index, kind="stable")
        present, starts = np.unique(index[order], return_index=True)
        sums[..., present] = np.add.reduceat(weights[..., order], starts, axis=-1)
    return sums


@dataclass(frozen=True)
class LabelMetric:
    """A function of the label counts."""

    name: str
    function: Callable[[LabelCounts], Array]
    """Counts (..., n_label) → (...)."""
    higher_is_better: bool = True
    needs_labels: bool = True

    def applies(self, outcome: AnyOutcome) -> bool:
        return isinstance(outcome, Outcome) and outcome.candidates is not None

    def __call__(self, outcome: AnyOutcome, weights: Array | None = None) -> Array:
        assert isinstance(outcome, Outcome)
        return self.function(count_labels(outcome, np.ones(len(outcome.target)) if weights is None else weights))

    def influence(self, outcome: AnyOutcome) -> Array:
        """By central difference, once per distinct (true, predicted) pair: all queries of a pair have the same influence."""
        assert isinstance(outcome, Outcome)
        size = outcome.log_probs.shape[1]
        pairs, which = np.unique(outcome.target * size + outcome.predicted, return_inverse=True)
        true, predicted = pairs // size, pairs % size
        base = count_labels(outcome, np.ones(len(outcome.target)))
        unit = np.eye(size)
        step = LabelCounts(unit[true] * (true == predicted)[:, None], unit[predicted], unit[true])

        def moved(by: float) -> Array:
            return self.function(LabelCounts(base.hit + by * step.hit, base.predicted + by * step.predicted, base.true + by * step.true))

        slope: Array = (moved(STEP) - moved(-STEP)) / (2 * STEP)
        return slope[which]


def macro_f1(counts: LabelCounts) -> Array:
    """Mean over labels of 2 hit / (predicted + true), over the labels that are a target or a prediction (scikit-learn's default)."""
    both = counts.predicted + counts.true
    occurs = both > 0
    f1 = 2.0 * counts.hit / np.where(occurs, both, 1.0)
    mean: Array = f1.sum(axis=-1) / occurs.sum(axis=-1)
    return mean


def mcc(counts: LabelCounts) -> Array:
    """R_K (Gorodkin 2004): (c s − Σ p_k t_k) / sqrt((s² − Σ p_k²)(s² − Σ t_k²)); 0 when one label takes all predictions or all targets."""
    total, hits = counts.true.sum(axis=-1), counts.hit.sum(axis=-1)
    shared = hits * total - (counts.predicted * counts.true).sum(axis=-1)
    spread_predicted = total**2 - (counts.predicted**2).sum(axis=-1)
    spread_true = total**2 - (counts.true**2).sum(axis=-1)
    # With fractional weights a spread of zero comes out as rounding error.
    defined = (spread_predicted > 1e-12 * total**2) & (spread_true > 1e-12 * total**2)
    value: Array = np.where(defined, shared / np.sqrt(np.where(defined, spread_predicted * spread_true, 1.0)), 0.0)
    return value


def label_bias(counts: LabelCounts) -> Array:
    """Total variation ½ Σ |predicted share − true share|: 0 when labels are predicted as often as they are true, at most 1."""
    bias: Array = 0.5 * np.abs(counts.predicted - counts.true).sum(axis=-1) / counts.true.sum(axis=-1)
    return bias
