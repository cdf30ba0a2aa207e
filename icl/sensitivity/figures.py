"""The figures of a sensitivity report: where the variance comes from, every prompt by template and by draw, what predictions copy."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from icl.report import charts
from icl.report.facts import number, percent
from icl.report.figures import Figure, Table
from icl.runs.tables import Rows
from icl.sensitivity import sentences as say
from icl.sensitivity.components import NORMAL

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Stacked:
    """A table whose cells hold a value and, below it, its interval (or nothing)."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    """Name of the row, cells."""


def titled(calibration: str) -> str:
    """How a calibration is called."""
    return "uncalibrated" if calibration == "none" else f"{calibration} calibration"


def _short(calibration: str) -> str:
    """The same for a legend, which must fit a phone."""
    return "uncalibrated" if calibration == "none" else calibration


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
            rows.append({"name": say.NAMES[factor], "series": _short(name), "value": value, "low": low, "high": high})
            cells.append("" if share is None else f"{say.whole(share)} ({say.span(interval)})")
        numbers.append((say.NAMES[factor], *cells))
        words.append(f"{say.NAMES[factor]} {', '.join(cells)}")
    spec = charts.intervals(rows, [say.NAMES[f] for f in factors], [_short(n) for n in components], "% of variance")
    return Figure(
        "shares", "", f"Shares of variance. {'; '.join(words)}", spec, Table(("Factor", *map(titled, components)), tuple(numbers))
    )


def by_group(cells: Rows, key: str, calibrations: Sequence[str], guess: float | None) -> Iterator[Figure]:
    """One figure per calibration: the accuracy of every prompt, in rows by `key` (`template` or `draw`)."""
    for calibration in calibrations:
        of = [{**row, key: _label(key, row[key])} for row in cells if row["calibration"] == calibration]
        groups = list(dict.fromkeys(row[key] for row in of))
        points = [{"group": row[key], "episode": _without(key, row["cell"]), "value": row["accuracy"]} for row in of]
        values = {group: [row["accuracy"] for row in of if row[key] == group] for group in groups}
        means = [{"group": group, "mean": float(np.mean(v)), "low": None, "high": None} for group, v in values.items()]
        rows = tuple((group, number(float(np.mean(v))), number(min(v)), number(max(v))) for group, v in values.items())
        label = f"Accuracy by {key}, {titled(calibration)}: " + "; ".join(f"{row[0]} {row[1]}" for row in rows)
        spec = charts.strip(points, means, groups, "Accuracy", guess)
        yield Figure(
            f"{key}-{calibration}", f"By {key}, {titled(calibration)}", label, spec, Table((key.title(), "mean", "worst", "best"), rows)
        )


def _without(key: str, cell: str) -> str:
    """A cell's name without what its row says, so that the same circle of every row stands at the same height."""
    return re.sub(rf"{key[0]}\d+\.", "", cell)


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
            rows.append({"name": title, "series": _short(name), "value": 100 * found["value"], "low": low, "high": high})
            cells.append(f"{say.points(found['value'])} ({say.span_points(found['ci95'])})")
        if any(cells):
            numbers.append((title, *cells))
    if not rows:
        return None
    label = "Predictions beyond chance, in points. " + "; ".join(f"{row[0]} {', '.join(row[1:])}" for row in numbers)
    shown = [row[0] for row in numbers]
    spec = charts.intervals(rows, shown, [_short(name) for name in calibrations], "points")
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


def parts(of: Json, design: Json) -> Stacked:
    """All components under one calibration."""
    measures = of["measures"]
    rows = []
    for name, component in measures["accuracy"]["components"].items():
        accuracy, *others = (_share(measures[measure]["components"][name]) for measure in measures)
        levels = str(design[say.LEVELS[name]]) if name in say.LEVELS else ""
        width, free = (say.give_or_take(NORMAL * component[key]) for key in ("sd", "sd_with_all_queries"))
        rows.append((say.NAMES[name], ((levels, ""), accuracy, (width, ""), (free, ""), *others)))
    total = measures["accuracy"]
    ends = [(say.give_or_take(NORMAL * total[key]), "") for key in ("sd", "sd_with_all_queries")]
    whole = "100\u202f%" if total["sd"] else "–"
    rows.append(("All together", (("", ""), (whole, ""), *ends, *((whole, "") for _ in (1, 2)))))
    head = (
        "Source",
        "Levels",
        "Share of accuracy’s variance",
        "Points",
        "With endless queries",
        "Share of the margin’s",
        "Share of the log-loss’s",
    )
    return Stacked(head, tuple(rows))


def _share(component: Json) -> tuple[str, str]:
    return ("–", "") if component["share"] is None else (say.whole(component["share"]), say.span(component["share_ci95"]))


def overview(calibrations: Json) -> Stacked:
    """What one prompt can be expected to show, by calibration."""
    rows = []
    for name, of in calibrations.items():
        a = of["measures"]["accuracy"]
        ends = [say.points(NORMAL * end) for end in a["sd_ci95"]]
        one = (say.give_or_take(a["margin95"]), f"{ends[0]} to {ends[1]}")
        seen, other = f"{percent(a['low'])} to {percent(a['high'])}", say.give_or_take(NORMAL * a["query_se"])
        rows.append((titled(name), ((percent(a["mean"]), ""), one, (seen, ""), (other, ""))))
    return Stacked(("Calibration", "Mean accuracy", "One prompt", "Worst to best seen", "Other queries, besides"), tuple(rows))
