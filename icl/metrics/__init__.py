"""Metrics of an episode. Definitions and sources: docs/statistics.md."""

from __future__ import annotations

from icl.metrics.labels import LabelMetric, label_bias, macro_f1, mcc
from icl.metrics.means import ChoiceMean, TextMean, correct, exact, normalise_text, surprise, token_overlap
from icl.metrics.reliability import BINS, CalibrationError, ReliabilityBins, ece, expected_if_perfect, reliability
from icl.metrics.types import AnyOutcome, GenerationOutcome, Metric, Outcome, predict
from tasks.errors import unknown_name

METRICS: dict[str, Metric] = {
    "accuracy": ChoiceMean("accuracy", correct),
    "macro_f1": LabelMetric("macro_f1", macro_f1),
    "mcc": LabelMetric("mcc", mcc),
    "nll": ChoiceMean("nll", surprise, higher_is_better=False),
    "ece": CalibrationError(),
    "label_bias": LabelMetric("label_bias", label_bias, higher_is_better=False),
    "exact_match": TextMean("exact_match", exact),
    "token_f1": TextMean("token_f1", token_overlap),
}
"""Name → metric, in the order in which they are shown."""


def get_metric(name: str) -> Metric:
    """The metric of that name. Raises IclError for an unknown one."""
    if name not in METRICS:
        raise unknown_name("metric", name, METRICS)
    return METRICS[name]


__all__ = [
    "BINS",
    "METRICS",
    "AnyOutcome",
    "CalibrationError",
    "GenerationOutcome",
    "Metric",
    "Outcome",
    "ReliabilityBins",
    "ece",
    "expected_if_perfect",
    "get_metric",
    "normalise_text",
    "predict",
    "reliability",
]
