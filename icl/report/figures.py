"""The figures of a report: a chart, what it says to who cannot see it, and its numbers as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from icl.metrics import Outcome
from icl.report import charts, evidence
from icl.report.charts import Rows, Spec
from icl.report.facts import NAMES, Metrics, number, percent

LARGEST_MATRIX = 30
"""Labels of the largest confusion matrix drawn; above it, the most confused pairs are listed."""
MOST_BIASED = 20
"""Labels of the largest chart of label shares; above it, those whose share is most wrong."""


@dataclass(frozen=True)
class Table:
    """Plain cells; the first column names the row."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Figure:
    """A chart and its numbers."""

    id: str
    title: str
    """Stands above the chart; empty for a figure alone in its section."""
    label: str
    """The chart in words."""
    spec: Spec
    numbers: Table


def by_episode(metrics: Metrics, metric: str, episodes: Sequence[str], guess: float | None) -> Figure:
    """One metric in every episode under every calibration."""
    groups = [name for name, of in metrics.items() if metric in of]
    points, means = [], []
    for name in groups:
        estimate = metrics[name][metric]
        low, high = estimate["ci95"] or (None, None)
        means.append({"group": name, "mean": estimate["mean"], "low": low, "high": high})
        points += [{"group": name, "episode": e, "value": v} for e, v in zip(episodes, estimate["per_episode"], strict=True)]
    values = zip(*(metrics[name][metric]["per_episode"] for name in groups), strict=True)
    rows = tuple((episode, *map(number, row)) for episode, row in zip(episodes, values, strict=True))
    mean = ("mean", *(number(metrics[name][metric]["mean"]) for name in groups))
    label = f"{NAMES[metric]} by calibration: " + "; ".join(f"{name} {number(metrics[name][metric]['mean'])}" for name in groups)
    spec = charts.strip(points, means, groups, NAMES[metric], guess)
    return Figure(f"episodes-{metric}", NAMES[metric], label, spec, Table(("Episode", *groups), (*rows, mean)))


def confusions(outcomes: Mapping[str, Sequence[Outcome]], labels: Sequence[str]) -> list[Figure]:
    """A matrix per calibration."""
    out = []
    for name, of in outcomes.items():
        counts = evidence.confusion_counts(of, labels)
        rows = tuple((label, *(f"{count:,}" for count in row)) for label, row in zip(labels, counts.tolist(), strict=True))
        right, total = int(np.trace(counts)), int(counts.sum())
        label = f"Confusion matrix, calibration {name}: {right} of {total} on the diagonal"
        spec = charts.confusion(evidence.confusion_cells(counts, labels), labels)
        out.append(Figure(f"confusion-{name}", name, label, spec, Table(("Target", *(f"as {label}" for label in labels)), rows)))
    return out


def pairs_table(outcomes: Sequence[Outcome], labels: Sequence[str]) -> Table:
    """The most confused pairs of labels."""
    pairs = evidence.confused_pairs(evidence.confusion_counts(outcomes, labels), labels)
    rows = tuple((pair["target"], pair["predicted"], f"{pair['count']:,}", percent(pair["share"])) for pair in pairs)
    return Table(("Target", "Predicted as", "Queries", "Share of the target's"), rows)


def reliabilities(outcomes: Mapping[str, Sequence[Outcome]]) -> list[Figure]:
    """A reliability diagram per calibration."""
    out = []
    for name, of in outcomes.items():
        bins = evidence.reliability_rows(of)
        rows = tuple(
            (f"{b['low']:.1f} to {b['high']:.1f}", f"{b['count']:,}", number(b["confidence"]), number(b["accuracy"])) for b in bins
        )
        label = f"Reliability diagram, calibration {name}: " + "; ".join(
            f"{b['count']} queries of mean confidence {b['confidence']:.2f} are right in {b['accuracy']:.2f}" for b in bins
        )
        head = ("Confidence", "Queries", "Mean confidence", "Share right")
        out.append(Figure(f"reliability-{name}", name, label, charts.reliability(bins), Table(head, rows)))
    return out


def label_bias(outcomes: Mapping[str, Sequence[Outcome]], labels: Sequence[str]) -> Figure:
    """How often each label is right and how often it is predicted."""
    counts = {name: evidence.confusion_counts(of, labels) for name, of in outcomes.items()}
    some = next(iter(counts.values()))
    true = some.sum(axis=1) / some.sum()
    predicted = {name: of.sum(axis=0) / of.sum() for name, of in counts.items()}
    chosen = list(range(len(labels)))
    if len(labels) > MOST_BIASED:
        off = np.max([np.abs(shares - true) for shares in predicted.values()], axis=0)
        chosen = sorted(np.argsort(-off, kind="stable")[:MOST_BIASED].tolist())
    shares: Rows = [
        {"label": labels[i], "calibration": name, "true": float(true[i]), "predicted": float(of[i])}
        for name, of in predicted.items()
        for i in chosen
    ]
    rows = tuple((labels[i], percent(float(true[i])), *(percent(float(s[i])) for s in predicted.values())) for i in chosen)
    words = "; ".join(f"{row[0]}: true {row[1]}, " + ", ".join(f"{n} {v}" for n, v in zip(predicted, row[2:], strict=True)) for row in rows)
    spec = charts.label_shares(shares, [labels[i] for i in chosen], list(outcomes))
    return Figure("label-shares", "", f"Share of each label. {words}", spec, Table(("Label", "true", *predicted), rows))


def specs(figures: Sequence[Figure]) -> dict[str, Any]:
    """Element id → Vega-Lite spec, each described in its own words."""
    return {figure.id: {**figure.spec, "description": figure.label} for figure in figures}
