"""Means, intervals and paired contrasts of a comparison.

Per learner and K: mean accuracy over episodes with Student's t interval. Against in-context learning at the same K: the mean of the
per-episode differences with its t interval, the paired t test, and Holm's adjustment (1979) over all contrasts of the report. A failed
episode enters as chance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from icl.intervals import PairedDifference, holm, paired_difference, t_interval

REFERENCE = "in-context"
"""The learner that the others are compared with."""

Cell = tuple[str, int]
"""Learner and K."""
Key = TypeVar("Key")


@dataclass(frozen=True)
class Accuracy:
    """Accuracy of one learner at one K over episodes."""

    mean: float
    ci95: tuple[float, float] | None
    """None for one episode."""
    per_episode: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"mean": self.mean, "ci95": list(self.ci95) if self.ci95 else None}


@dataclass(frozen=True)
class Contrast:
    """What is compared minus its reference (of a learner: in-context learning) on the same episodes."""

    difference: PairedDifference
    p_adjusted: float | None
    """Holm over all contrasts of the report; None for one episode."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        d = self.difference
        return {
            "mean": d.mean,
            "ci95": list(d.ci95) if d.ci95 else None,
            "p": d.p_value,
            "p_adjusted": self.p_adjusted,
            "per_episode": list(d.per_episode),
        }


def accuracy_of(values: Sequence[float]) -> Accuracy:
    """Mean and interval of per-episode accuracies."""
    return Accuracy(float(np.mean(values)), t_interval(values), tuple(values))


def contrasts(accuracies: Mapping[Cell, Sequence[float]]) -> dict[Cell, Contrast]:
    """Every learner against in-context learning at the same K; empty when that is not among the learners."""
    return adjusted(differences(accuracies))


def differences(accuracies: Mapping[Cell, Sequence[float]]) -> dict[Cell, PairedDifference]:
    """The same, before the adjustment over all contrasts of a report; on the first episodes, where one of the two played fewer."""
    return {
        (learner, k): paired_difference(*zip(*zip(values, accuracies[REFERENCE, k], strict=False), strict=True))
        for (learner, k), values in accuracies.items()
        if learner != REFERENCE and (REFERENCE, k) in accuracies
    }


def adjusted(differences: Mapping[Key, PairedDifference]) -> dict[Key, Contrast]:
    """All contrasts of a report with Holm's adjustment over those that can be tested."""
    tested = {key: d.p_value for key, d in differences.items() if d.p_value is not None and d.ci95 is not None}
    p = dict(zip(tested, holm(list(tested.values())), strict=True)) if tested else {}
    return {key: Contrast(d, p.get(key)) for key, d in differences.items()}
