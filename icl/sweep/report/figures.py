"""The figures of a sweep: accuracy against shots, and heat maps over two fields."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

from icl.report.facts import number
from icl.report.figures import Figure, Table
from icl.sweep.analysis import Analysis
from icl.sweep.marginals import Marginal, marginals
from icl.sweep.report import charts
from icl.sweep.settings import word

MOST_SERIES = 5
"""Lines of a chart: the theme has so many colours."""
MOST_SIDE = 16
"""Values of a field along a side of a heat map."""
ACROSS = 4
"""Values of a field that leave a cell wide enough for its number."""
MOST_HEAT_MAPS = 10


def curves(of: Analysis, id: str, title: str, guess: float | None) -> list[Figure]:
    """One curve per value of every other field with few values; a single one where only shots vary. Empty where shots do not vary."""
    group = of.group
    if "shots" not in group.fields:
        return []
    others = [name for name, values in group.fields.items() if name != "shots" and len(values) <= MOST_SERIES]
    named = {name: marginals(group, ["shots", name]) for name in others}
    named = {name: found for name, found in named.items() if found and len({m.values[0] for m in found}) > 1}
    if not named:
        return [_curve(f"{id}-shots", "", marginals(group, ["shots"]), "", title, guess)] if of.marginals.get("shots") else []
    return [_curve(f"{id}-shots-{name}", f"By {name}", found, name, title, guess) for name, found in named.items()]


def _curve(id: str, heading: str, found: Sequence[Marginal], by: str, title: str, guess: float | None) -> Figure:
    series = list(dict.fromkeys(_series(m, by) for m in found))
    shots = sorted({m.values[0] for m in found})
    step = 0.008 * (shots[-1] - shots[0])
    points: list[dict[str, Any]] = []
    for m in found:
        low, high = m.ci95 or (None, None)
        at = m.values[0] + step * (series.index(_series(m, by)) - (len(series) - 1) / 2)
        points.append({"shots": m.values[0], "at": at, "series": _series(m, by), "mean": m.mean, "low": low, "high": high})
    table = {(p["series"], p["shots"]): _with_interval(p["mean"], p["low"], p["high"]) for p in points}
    if guess is not None:  # an accuracy: few draws give intervals beyond what is possible
        points = [{**p, "low": _possible(p["low"]), "high": _possible(p["high"])} for p in points]
    rows = tuple((name, *(table.get((name, k), "") for k in shots)) for name in series)
    label = f"{title} by shots: " + "; ".join(f"{name or 'all'}: " + ", ".join(table.get((name, k), "-") for k in shots) for name in series)
    head = (by or "", *(f"{k} shots" for k in shots))
    return Figure(id, heading, label, charts.against_shots(points, series, title.lower(), guess), Table(head, rows))


def _possible(end: float | None) -> float | None:
    return None if end is None else min(max(end, 0.0), 1.0)


def _series(m: Marginal, by: str) -> str:
    return word(by, m.values[1]) if by else "all cells"


def heat_maps(of: Analysis, id: str, title: str) -> list[Figure]:
    """Every pair of fields, the one whose means differ most first."""
    usable = {pair: found for pair, found in of.surfaces.items() if all(len(of.group.fields[name]) <= MOST_SIDE for name in pair)}
    means = [m.mean for found in usable.values() for m in found]
    return [
        _heat(f"{id}-heat-{number}", pair, found, of, title, (min(means), max(means)))
        for number, (pair, found) in enumerate(islice(usable.items(), MOST_HEAT_MAPS))
    ]


def _heat(id: str, pair: tuple[str, str], found: Sequence[Marginal], of: Analysis, title: str, limits: tuple[float, float]) -> Figure:
    fields = of.group.fields
    # Many values stand better along the side, where cells keep their width; so do long names, which need not be turned there.
    y, x = sorted(pair, key=lambda name: (len(fields[name]) > ACROSS, max(len(word(name, v)) for v in fields[name])), reverse=True)
    xs, ys = ([word(name, value) for value in fields[name]] for name in (x, y))
    cells = []
    for m in found:
        value = dict(zip(pair, m.values, strict=True))
        strong = m.mean > limits[0] + 0.55 * (limits[1] - limits[0])
        at = {"x": word(x, value[x]), "y": word(y, value[y])}
        cells.append({**at, "mean": m.mean, "text": number(m.mean), "strong": strong, "cells": m.cells})
    means = {(cell["y"], cell["x"]): str(cell["text"]) for cell in cells}
    rows = tuple((name, *(means.get((name, other), "") for other in xs)) for name in ys)
    label = f"{title} by {y} and {x}: " + "; ".join(f"{cell['y']}, {cell['x']}: {cell['text']}" for cell in cells)
    return Figure(id, f"{y} and {x}", label, charts.heat(cells, x, y, xs, ys, limits), Table((f"{y} / {x}", *xs), rows))


def _with_interval(mean: float, low: float | None, high: float | None) -> str:
    return number(mean) if low is None or high is None else f"{number(mean)} [{number(low)}, {number(high)}]"
