"""The runs of a directory, a line each."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from icl.report.terminal import TITLES, show_estimate
from icl.runs import Run
from icl.runs.settings import differences
from icl.spec import ResolvedSpec

CORRECTED = ("batch", "contextual", "domain-context", "batch-log", "pmi", "channel", "prototypical", "knn-prompting", "hidden")
"""Which calibration stands for a run in a list: the first of these that it has, never the one that came out best on the test split."""


@dataclass(frozen=True)
class Line:
    """A run, with what a list shows of it."""

    name: str
    dir: str
    facts: Mapping[str, Any]
    """What `environment.json` says of the run."""
    resolved: ResolvedSpec
    metrics: Mapping[str, Any]
    metric: str
    """The leading one: the card's first that was measured."""

    def to_json(self) -> dict[str, Any]:
        """One item of `icl runs list --json`."""
        spec = self.resolved.spec
        chosen = {name: getattr(spec, name) for name in ("shots", "template", "selector", "seed", "split")}
        counts = {name: self.facts[name] for name in ("n_episodes", "n_queries")}
        of = {"run": self.name, "dir": self.dir, "task": self.facts["task"], "model": self.facts["model"]}
        return {**of, **chosen, **counts, "metrics": self.metrics}


def line_of(run: Run) -> Line:
    """Raises IclError when a file of the run is damaged."""
    metrics, facts = run.summary["metrics"], run.facts
    metric = next(name for name in (*facts["metrics"], *TITLES) if any(name in of for of in metrics.values()))
    return Line(run.name, str(run.dir), facts, run.resolved, metrics, metric)


def print_lines(lines: Sequence[Line]) -> None:
    """A table: the run, what tells it from the others of its task, its leading metric as scored and calibrated."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("run", "settings", "metric", "none", "calibrated"):
        table.add_column(column, no_wrap=column != "settings")
    settings = differences([line.facts["task"] for line in lines], [line.resolved for line in lines])
    for line, differing in zip(lines, settings, strict=True):
        corrected = next((name for name in CORRECTED if line.metric in line.metrics.get(name, {})), None)
        shown = f"{_estimate(line, corrected)} {corrected}" if corrected else "-"
        table.add_row(line.name, escape(differing), TITLES[line.metric], _estimate(line, "none"), shown)
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def _estimate(line: Line, calibration: str) -> str:
    of = line.metrics.get(calibration, {})
    return show_estimate(of[line.metric]) if line.metric in of else "-"
