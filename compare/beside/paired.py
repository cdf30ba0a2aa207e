"""The statistics of runs side by side: each run's mean, and its paired difference to the first.

Difference per episode, Student's t interval, paired t test, Holm over all differences of the table. McNemar's exact test is on the queries
of the first episode only: queries of several draws are not independent pairs; its p-values are Holm's, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from compare.statistics import Contrast, adjusted
from icl.intervals import McNemar, holm, mcnemar, paired_difference
from icl.runs.answers import correct_answers
from icl.runs.store import Run
from tasks import IclError

METRICS = ("accuracy", "exact_match")
"""What runs are compared by: the first that they have."""


@dataclass(frozen=True)
class Line:
    """One run."""

    run: Run
    estimate: dict[str, Any]
    """Of `summary.json`: mean, ci95, per_episode."""
    to_first: Contrast | None
    """This run minus the first; None for the first."""
    mcnemar: McNemar | None
    """In the first episode, a: this run; None for the first, and where answers are written."""
    mcnemar_p_adjusted: float | None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "run": self.run.name,
            "spec_sha256": self.run.summary["spec_sha256"],
            "accuracy": {key: self.estimate[key] for key in ("mean", "ci95", "per_episode")},
            "difference_to_first": self.to_first.to_json() if self.to_first else None,
            "mcnemar": {**asdict(self.mcnemar), "p_adjusted": self.mcnemar_p_adjusted} if self.mcnemar else None,
        }


def lines(runs: Sequence[Run], calibration: str, episode: str) -> tuple[str, list[Line]]:
    """The metric, and a line per run. Raises IclError for a run that has no results of this calibration, or no such metric."""
    metric = _metric(runs[0], calibration)
    estimates = [_estimate(run, calibration, metric) for run in runs]
    first = estimates[0]["per_episode"]
    against = adjusted({i: paired_difference(of["per_episode"], first) for i, of in enumerate(estimates) if i})
    tests: dict[int, McNemar] = {}
    if metric == "accuracy":
        answers = [correct_answers(run, calibration, episode) for run in runs]
        queries = sorted(answers[0])
        tests = {i: mcnemar([of[q] for q in queries], [answers[0][q] for q in queries]) for i, of in enumerate(answers) if i}
    p = dict(zip(tests, holm([test.p_value for test in tests.values()]), strict=True)) if tests else {}
    return metric, [Line(run, estimates[i], against.get(i), tests.get(i), p.get(i)) for i, run in enumerate(runs)]


def _metric(run: Run, calibration: str) -> str:
    found = _metrics(run, calibration)
    return next((name for name in METRICS if name in found), METRICS[0])


def _estimate(run: Run, calibration: str, metric: str) -> dict[str, Any]:
    found = _metrics(run, calibration)
    if metric not in found:
        raise IclError(f"runs are compared by {metric} here, but {run.name} has {', '.join(found)} only")
    estimate: dict[str, Any] = found[metric]
    return estimate


def _metrics(run: Run, calibration: str) -> dict[str, Any]:
    found: dict[str, dict[str, Any]] = run.summary["metrics"]
    if calibration not in found:
        raise IclError(f"{run.name} has no results with calibration '{calibration}', but with {', '.join(found)}; use --calibration NAME")
    return found[calibration]


def differing(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """Field of the spec → its value in every run, only where they are not all the same; names of contents are their hashes."""
    flat = []
    for run in runs:
        values = run.resolved.to_json()
        flat.append({**values.pop("spec"), **values})
    names = dict.fromkeys(name for values in flat for name in values)
    found = {name: [values.get(name) for values in flat] for name in names}
    return {name: values for name, values in found.items() if any(value != values[0] for value in values)}
