"""Expected calibration error (Naeini et al. 2015, Guo et al. 2017): Σ_b (n_b / n) |mean confidence − accuracy| over 10 equal-width bins.

The estimate is biased upwards: in each bin chance alone keeps accuracy away from confidence, so a perfect model does not show 0. So
queries are pooled over episodes, and why `expected_if_perfect` says what a perfectly calibrated model would have shown.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from icl.metrics.types import AnyOutcome, Array, Indices, Outcome
from tasks.rng import keyed_rng

BINS = 10
"""Bins ((b − 1)/10, b/10], b = 1 … 10, as in Guo et al.; a confidence of 0 falls into the first."""
DRAWS = 200
"""Simulated data sets behind `expected_if_perfect`."""


def bin_of(confidence: Array) -> Indices:
    """(n,) confidences in [0, 1] → bin 0 … 9."""
    # Rounded, so that a confidence that is 0.3 up to rounding error lands in the bin that 0.3 closes.
    return np.clip(np.ceil(np.round(confidence * BINS, 9)).astype(np.int64) - 1, 0, BINS - 1)


def ece(confidence: Array, correct: Array, weights: Array | None = None) -> float:
    """Σ_b |Σ_{i in b} w_i (confidence_i − correct_i)| / Σ w, of arrays (n,)."""
    weights = np.ones(len(confidence)) if weights is None else weights
    gaps = np.bincount(bin_of(confidence), weights=weights * (confidence - correct), minlength=BINS)
    return float(np.abs(gaps).sum() / weights.sum())


def expected_if_perfect(confidence: Array) -> float:
    """Mean over 200 keyed draws of the ece that answers with exactly these chances of being right would show."""
    rng = keyed_rng(0, "ece-bias")
    bins = bin_of(confidence)
    total = 0.0
    for _ in range(DRAWS):
        correct = rng.random(len(confidence)) < confidence
        total += float(np.abs(np.bincount(bins, weights=confidence - correct, minlength=BINS)).sum())
    return total / (DRAWS * len(confidence))


@dataclass(frozen=True)
class ReliabilityBins:
    """The reliability diagram: arrays of length 10."""

    count: Indices
    confidence: Array
    """Mean confidence; NaN in an empty bin."""
    accuracy: Array
    """Share of right answers; NaN in an empty bin."""


def reliability(confidence: Array, correct: Array) -> ReliabilityBins:
    """Bins of arrays (n,)."""
    bins = bin_of(confidence)
    count = np.bincount(bins, minlength=BINS)
    some = np.where(count > 0, count, np.nan)
    mean = np.bincount(bins, weights=confidence, minlength=BINS) / some
    return ReliabilityBins(count, mean, np.bincount(bins, weights=correct, minlength=BINS) / some)


@dataclass(frozen=True)
class CalibrationError:
    """The metric of one outcome; over episodes it is pooled, not averaged (see `icl.intervals`)."""

    name: str = "ece"
    higher_is_better: bool = False
    needs_labels: bool = False

    def applies(self, outcome: AnyOutcome) -> bool:
        return isinstance(outcome, Outcome)

    def __call__(self, outcome: AnyOutcome, weights: Array | None = None) -> Array:
        assert isinstance(outcome, Outcome)
        if weights is None or weights.ndim == 1:
            return np.asarray(ece(outcome.confidence, outcome.correct, weights))
        return np.apply_along_axis(lambda row: ece(outcome.confidence, outcome.correct, row), -1, weights)

    def influence(self, outcome: AnyOutcome) -> Array:
        """(n_query,): sign of the bin's gap times the query's own gap, less the value, over n."""
        assert isinstance(outcome, Outcome)
        bins, gap = bin_of(outcome.confidence), outcome.confidence - outcome.correct
        sign = np.sign(np.bincount(bins, weights=gap, minlength=BINS))[bins]
        influence: Array = (sign * gap - ece(outcome.confidence, outcome.correct)) / len(gap)
        return influence
