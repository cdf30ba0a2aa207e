"""The words and numbers of a sweep's report, which the terminal, Markdown and the page share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from icl.calibration import get_calibrator
from icl.report.facts import NAMES, Pairs, number, p_value, percent, scaled, seconds, signed, span
from icl.sweep.analysis import Analysis
from icl.sweep.marginals import Effect, Marginal
from icl.sweep.results import Results, Row
from icl.sweep.settings import word
from icl.sweep.statistics import Contrast


@dataclass(frozen=True)
class Bar:
    """Where an interval and its mean lie on a scale from 0 to 100."""

    low: float
    high: float
    mean: float


@dataclass(frozen=True)
class Line:
    """A row of the table."""

    rank: str
    settings: tuple[str, ...]
    mean: str
    interval: str
    bar: Bar
    behind: str
    """Difference to the best row; empty for the best itself."""
    behind_interval: str
    p: str
    transductive: bool


def lines(of: Analysis) -> list[Line]:
    """All rows of a group, the best first."""
    rows = of.group.rows
    ends = [value for row in rows for value in (row.mean, *(row.ci95 or ()))]
    # An interval over few draws may go beyond what is possible; the scale does not.
    low, high = max(min(ends), 0.0), max(min(max(ends), 1.0), *(row.mean for row in rows))
    return [
        _line(i, row, contrast, list(of.group.fields), (low, high)) for i, (row, contrast) in enumerate(zip(rows, of.to_best, strict=True))
    ]


def _line(i: int, row: Row, contrast: Contrast | None, names: Sequence[str], scale: tuple[float, float]) -> Line:
    return Line(
        rank=str(i + 1),
        settings=tuple(word(name, getattr(row.spec, name)) for name in names),
        mean=number(row.mean),
        interval=span(row.ci95),
        bar=_bar(row.mean, row.ci95, scale),
        behind=signed(contrast.mean) if contrast else "",
        behind_interval=span(contrast.interval, signed) if contrast else "",
        p=p_value(contrast.p_adjusted) if contrast else "",
        transductive=any(get_calibrator(name).transductive for name in row.spec.calibration),
    )


def _bar(mean: float, interval: tuple[float, float] | None, scale: tuple[float, float]) -> Bar:
    low, high = scale
    width = (high - low) or 1.0

    def at(value: float) -> float:
        return 100 * (min(max(value, low), high) - low) / width

    return Bar(at(interval[0] if interval else mean), at(interval[1] if interval else mean), at(mean))


@dataclass(frozen=True)
class MarginalLine:
    """One value of a field."""

    value: str
    mean: str
    interval: str
    cells: str
    effect: str
    """Against the first value; empty for that one."""
    effect_interval: str
    p: str


def marginal_lines(of: Analysis) -> dict[str, list[MarginalLine]]:
    """Field → its values."""
    return {
        name: [_marginal_line(name, m, effect) for m, effect in zip(found, of.effects[name], strict=True)]
        for name, found in of.marginals.items()
    }


def _marginal_line(name: str, m: Marginal, effect: Effect | None) -> MarginalLine:
    return MarginalLine(
        value=word(name, m.values[0]),
        mean=number(m.mean),
        interval=span(m.ci95),
        cells=str(m.cells),
        effect=signed(effect.mean) if effect else "",
        effect_interval=span(effect.ci95, signed) if effect else "",
        p=p_value(effect.p_adjusted) if effect else "",
    )


def guess(of: Analysis) -> float | None:
    """Accuracy of guessing among a fixed label set; None where there is none."""
    labels = of.group.rows[0].runs[0].facts["labels"]
    return 1 / len(labels) if of.group.metric == "accuracy" and labels else None


def title(of: Analysis) -> str:
    """The metric, as headings have it."""
    return NAMES[of.group.metric]


def cost_pairs(results: Results) -> Pairs:
    """Work of now and of before, and both together."""
    took = [sum(cost["seconds"].values()) for cost in (results.computed, results.found)]

    def three(write: Any, now: float, before: float) -> str:
        return f"{write(now)} now, {write(before)} before, {write(now + before)} in all"

    return (
        ("Runs", f"{results.n_computed} made now, {results.n_found} found finished"),
        ("Tokens computed", three(scaled, results.computed["tokens_unique"], results.found["tokens_unique"])),
        ("Scores re-used from the store", three(scaled, results.computed["spans_reused"], results.found["spans_reused"])),
        ("Floating-point operations", three(lambda n: scaled(n, "FLOP"), results.computed["flops"], results.found["flops"])),
        ("Time", three(seconds, *took)),
    )


def failures(results: Results) -> list[tuple[str, str]]:
    """Settings and reason of what has no value; cells that failed for the same reason together."""
    kin: dict[str, list[Row]] = {}
    for row in results.failed:
        kin.setdefault(row.reason, []).append(row)
    names = list(results.fields)
    return [(_all_of(rows, names), reason) for reason, rows in kin.items()]


def _all_of(rows: Sequence[Row], names: Sequence[str]) -> str:
    """`shots 40, calibration none, batch`: fields that differ between the rows with all their values."""
    values = {name: dict.fromkeys(word(name, getattr(row.spec, name)) for row in rows) for name in names}
    said = ", ".join(f"{name} {' | '.join(of)}" for name, of in values.items())
    return f"{len(rows)} cells: {said}" if len(rows) > 1 else said


def fixed(results: Results) -> Pairs:
    """What all cells have."""
    spec = results.plan.filled[results.plan.sweep.cells[0]]
    seeds = sorted({cell.seed for cell in results.plan.sweep.cells})
    names = ("task", "model", "template", "selector", "order", "labels", "shots", "calibration", "episodes", "queries", "split", "pool")
    pairs = [(name, word(name, getattr(spec, name))) for name in names if name not in results.fields]
    return (*pairs, ("seeds" if len(seeds) > 1 else "seed", ", ".join(map(str, seeds))))


def percent_of(of: Analysis, value: float) -> str:
    """A share in percent where the metric is one, else a number."""
    return percent(value) if of.group.metric in ("accuracy", "exact_match") else number(value)


def by_field(results: Results) -> Mapping[str, str]:
    """Field → its values in words."""
    return {name: ", ".join(word(name, value) for value in values) for name, values in results.fields.items()}
