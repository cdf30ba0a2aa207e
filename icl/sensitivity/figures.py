"""The figures of a sensitivity report: where the variance comes from, every prompt by template and by draw, what predictions copy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from icl.report import charts
from icl.report.facts import number, percent
from icl.report.figures import Figure, Table
from icl.runs.tables import Rows
from icl.sensitivity import sentences as say

Json = Mapping[str, Any]


def titled(calibration: str) -> str:
    """How a calibration is called."""
    return "uncalibrated" if calibration == "none" else f"{calibration} calibration"


def shares(calibrations: Json) -> Figure:
    """The share of every factor in the variance of accuracy, by calibration."""
    rows, numbers, words = [], [], []
    components = {name: of["measures"]["accuracy"]["components"] for name, of in calibrations.items()}
    factors = list(next(iter(components.values())))
    for factor in factors:
        cells = []
        for name, of in components.items():
            share, interval = of[factor]["share"], of[factor]["share_ci95"] or (None, None)
            low, high = (None if end is None else 100 * end for end in interval)
            value = None if share is None else 100 * share
            rows.append({"name": say.NAMES[factor], "series": titled(name), "value": value, "low": low, "high": high})
            cells.append("" if share is None else f"{say.whole(share)} ({say.span(interval)})")
        numbers.append((say.NAMES[factor], *cells))
        words.append(f"{say.NAMES[factor]} {', '.join(cells)}")
    spec = charts.intervals(rows, [say.NAMES[f] for f in factors], [titled(n) for n in components], "percent of the variance of accuracy")
    return Figure(
        "shares", "", f"Shares of variance. {'; '.join(words)}", spec, Table(("Factor", *map(titled, components)), tuple(numbers))
    )


def by_group(cells: Rows, key: str, calibrations: Sequence[str], guess: float | None) -> Iterator[Figure]:
    """One figure per calibration: the accuracy of every prompt, in rows by `key` (`template` or `draw`)."""
    for calibration in calibrations:
        of = [{**row, key: _label(key, row[key])} for row in cells if row["calibration"] == calibration]
        groups = list(dict.fromkeys(row[key] for row in of))
        points = [{"group": row[key], "episode": row["cell"], "value": row["accuracy"]} for row in of]
        values = {group: [row["accuracy"] for row in of if row[key] == group] for group in groups}
        means = [{"group": group, "mean": float(np.mean(v)), "low": None, "high": None} for group, v in values.items()]
        rows = tuple((group, number(float(np.mean(v))), number(min(v)), number(max(v))) for group, v in values.items())
        label = f"Accuracy by {key}, {titled(calibration)}: " + "; ".join(f"{row[0]} {row[1]}" for row in rows)
        spec = charts.strip(points, means, groups, "Accuracy", guess)
        yield Figure(f"{key}-{calibration}", titled(calibration), label, spec, Table((key.title(), "mean", "worst", "best"), rows))


def _label(key: str, value: Any) -> str:
    return f"draw {value + 1}" if key == "draw" else str(value)


def copies(calibrations: Json) -> Figure | None:
    """Recency, majority and copying by calibration; None where nothing could be measured."""
    rows, numbers = [], []
    names = {"recency": "Last label (recency)", "majority": "Majority label", "copying": "Most similar demonstration"}
    for effect, title in names.items():
        cells = []
        for name, of in calibrations.items():
            found = of["bias"][effect] if of["bias"] else None
            if found is None:
                cells.append("")
                continue
            low, high = (100 * end for end in found["ci95"])
            rows.append({"name": title, "series": titled(name), "value": 100 * found["value"], "low": low, "high": high})
            cells.append(f"{say.points(found['value'])} ({say.span_points(found['ci95'])})")
        if any(cells):
            numbers.append((title, *cells))
    if not rows:
        return None
    label = "Predictions beyond chance, in points. " + "; ".join(f"{row[0]} {', '.join(row[1:])}" for row in numbers)
    shown = [row[0] for row in numbers]
    spec = charts.intervals(rows, shown, [titled(name) for name in calibrations], "points above what takes no notice")
    return Figure("copies", "", label, spec, Table(("Bias", *map(titled, calibrations)), tuple(numbers)))


def positions(calibrations: Json) -> Table | None:
    """The effect of every position; None where there is none."""
    of = {name: found["bias"]["positions"] for name, found in calibrations.items() if found["bias"]}
    if not of:
        return None
    count = len(next(iter(of.values())))
    rows = tuple(
        (
            f"{j + 1}{' (last)' if j + 1 == count else ''}",
            *(f"{say.points(p[j]['value'])} ({say.span_points(p[j]['ci95'])})" for p in of.values()),
        )
        for j in range(count)
    )
    return Table(("Position", *map(titled, of)), rows)


def parts(of: Json, design: Json) -> Table:
    """All components under one calibration."""
    measures = of["measures"]
    rows = []
    for name, component in measures["accuracy"]["components"].items():
        each = [measures[measure]["components"][name] for measure in measures]
        said = [f"{say.whole(c['share'])} ({say.span(c['share_ci95'])})" if c["share"] is not None else "–" for c in each]
        width = f"± {say.points(1.96 * component['sd'])}"
        free = f"± {say.points(1.96 * component['sd_with_all_queries'])}"
        rows.append((say.NAMES[name], str(design[say.LEVELS[name]]) if name in say.LEVELS else "", said[0], width, free, *said[1:]))
    total = measures["accuracy"]
    ends = [f"± {say.points(1.96 * total[key])}" for key in ("sd", "sd_with_all_queries")]
    rows.append(("All together", "", "100\u202f%" if total["sd"] else "–", *ends, "", ""))
    head = ("Source", "Levels", "Share of accuracy’s variance", "Points", "With endless queries", "Of the margin’s", "Of the log-loss’s")
    return Table(head, tuple(rows))


def overview(calibrations: Json) -> Table:
    """What one prompt can be expected to show, by calibration and measure."""
    rows = tuple(
        (
            titled(name),
            percent(a["mean"]),
            f"± {say.points(a['margin95'])} ({say.points(1.96 * a['sd_ci95'][0])} to {say.points(1.96 * a['sd_ci95'][1])})",
            f"{percent(a['low'])} to {percent(a['high'])}",
            f"± {say.points(1.96 * a['query_se'])}",
        )
        for name, of in calibrations.items()
        for a in (of["measures"]["accuracy"],)
    )
    return Table(("Calibration", "Mean accuracy", "One prompt", "Worst to best prompt", "Other queries, besides"), rows)
