"""The table of runs side by side in words: rows for the terminal and for `report.html`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compare.beside.paired import Line
from compare.beside.run import Beside
from icl.report.embed import render
from icl.report.facts import number, p_value, signed
from icl.report.figures import Table

HERE = Path(__file__).parent
UNSHORT = 60
"""Characters of a value that are shown: hashes are longer."""


@dataclass(frozen=True)
class Page:
    """Everything that the template prints."""

    run: str
    task: str
    split: str
    n_episodes: int
    n_queries: int
    episode: str
    metric: str
    calibration: str
    first: str
    tested: bool
    results: Table
    settings: Table
    command: str


def write_report(of: Beside) -> Path:
    """`report.html` in its directory."""
    page = Page(
        run=of.name,
        task=of.task,
        split=of.split,
        n_episodes=of.n_episodes,
        n_queries=of.n_queries,
        episode=of.episode,
        metric=of.metric,
        calibration=of.calibration,
        first=of.lines[0].run.name,
        tested=any(line.mcnemar for line in of.lines),
        results=results_table(of),
        settings=settings_table(of),
        command=f"icl compare {' '.join(line.run.name for line in of.lines)} --calibration {of.calibration}",
    )
    path = of.dir / "report.html"
    path.write_text(render("beside.html.jinja", {}, page, HERE), encoding="utf-8", newline="\n")
    return path


def results_table(of: Beside) -> Table:
    """A row per run."""
    head = ("Run", of.metric, "to the first", "p", f"McNemar, {of.episode}", "p")
    return Table(head, tuple(_row(line) for line in of.lines))


def _row(line: Line) -> tuple[str, ...]:
    contrast, test = line.to_first, line.mcnemar
    return (
        line.run.name,
        _with(number(line.estimate["mean"]), line.estimate["ci95"]),
        _with(signed(contrast.difference.mean), contrast.difference.ci95) if contrast else "",
        p_value(contrast.p_adjusted) if contrast else "",
        f"+{test.only_a} −{test.only_b}" if test else "",
        p_value(line.mcnemar_p_adjusted),
    )


def _with(mean: str, interval: Sequence[float] | None) -> str:
    return f"{mean} [{number(interval[0])}, {number(interval[1])}]" if interval else mean


def settings_table(of: Beside) -> Table:
    """A row per field that differs, a column per run."""
    rows = tuple((name, *map(_value, values)) for name, values in of.differing.items())
    return Table(("Field", *(line.run.name for line in of.lines)), rows)


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    text = "all" if value is None else str(value)
    return text if len(text) < UNSHORT else f"{text[:10]}…"
