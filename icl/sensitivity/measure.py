"""What is decomposed: per query its accuracy, margin and log-loss. Means of few queries are coarse; the last two are not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from icl.metrics import Outcome

Array = NDArray[np.float64]


def correct(outcome: Outcome) -> Array:
    """(queries,): 1 where the prediction is right."""
    return outcome.correct


def margins(outcome: Outcome) -> Array:
    """(queries,): log q(right) − max log q(wrong), in nats: above 0 where the prediction is right."""
    rows = np.arange(len(outcome.target))
    others = outcome.log_probs.copy()
    others[rows, outcome.target] = -np.inf
    out: Array = outcome.log_probs[rows, outcome.target] - others.max(axis=1)
    return out


def losses(outcome: Outcome) -> Array:
    """(queries,): −log q(right), in nats."""
    out: Array = -outcome.log_probs[np.arange(len(outcome.target)), outcome.target]
    return out


MEASURES: dict[str, Callable[[Outcome], Array]] = {"accuracy": correct, "margin": margins, "log_loss": losses}
"""Name → per query."""
