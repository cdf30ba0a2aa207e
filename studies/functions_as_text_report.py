"""Table, numbers and plot of the study of functions as text. Pure functions of its rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from drawing import svg

from icl.intervals import t_interval

Rows = Sequence[dict[str, Any]]


def estimate(errors: Any) -> tuple[float, float]:
    """Mean over tasks of a task's mean squared error, and half its 95 % interval (Student's t over tasks)."""
    of_tasks = errors.mean(axis=1)
    low, high = t_interval(of_tasks) or (float("nan"), float("nan"))
    return float(of_tasks.mean()), (high - low) / 2


def cell(errors: Any) -> str:
    """`0.51 ± 0.03 (0.22)`: mean, half the interval, median over all answers."""
    mean, half = estimate(errors)
    return f"{mean:.3f} ± {half:.3f} ({np.median(errors):.3f})"


def table(rows: Rows) -> list[str]:
    """Markdown: a line per class of functions and learner."""
    shown = list(dict.fromkeys(row["k"] for row in rows))
    found = {(row["family"], row["learner"], row["k"]): row for row in rows}
    lines = ["| functions | learner | " + " | ".join(f"K = {k}" for k in shown) + " | no number |", "|---" * (len(shown) + 3) + "|"]
    for family, learner in dict.fromkeys((row["family"], row["learner"]) for row in rows):
        of = [found[family, learner, k] for k in shown]
        answers = sum(row["errors"].size for row in of)
        missing = f"{sum(row['missing'] for row in of)} of {answers}" if learner == "language-model" else ""
        lines.append(f"| {family} | {learner} | {' | '.join(cell(row['errors']) for row in of)} | {missing} |")
    return lines


def print_table(rows: Rows) -> None:
    """To standard output."""
    print("\n".join(table(rows)))


def plot(rows: Rows) -> str:
    """SVG: a panel per class of functions, mean squared error against the number of examples."""
    import altair as alt

    values = []
    for row in rows:
        mean, half = estimate(row["errors"])
        low, high = max(mean - half, mean / 10, 1e-5), mean + half
        values.append(
            {"family": row["family"], "learner": row["learner"], "k": row["k"], "mean": max(mean, 1e-5), "low": low, "high": high}
        )
    scale = alt.Scale(type="log")
    base = alt.Chart().encode(
        x=alt.X("k:Q", title="examples shown", scale=alt.Scale(type="log", base=2)),
        color=alt.Color("learner:N", sort=list(dict.fromkeys(row["learner"] for row in rows)), title=None),
    )  # fmt: skip
    line = base.mark_line(point=True).encode(y=alt.Y("mean:Q", title="mean squared error", scale=scale))
    bars = base.mark_errorbar().encode(y=alt.Y("low:Q", title="", scale=scale), y2="high:Q")
    panel = alt.layer(line, bars, data=alt.Data(values=values)).properties(width=230, height=240)
    return svg(panel.facet(column=alt.Column("family:N", title=None)))


def write_docs(rows: Rows, facts: dict[str, Any], directory: Path) -> None:
    """`functions-as-text.svg` and `.json`, and the table between its marks in `functions-as-text.md`."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "functions-as-text.svg").write_text(plot(rows), encoding="utf-8")
    numbers = [
        {
            **{name: row[name] for name in ("family", "learner", "k", "missing")},
            "mse": estimate(row["errors"]),
            "median": float(np.median(row["errors"])),
        }
        for row in rows
    ]
    (directory / "functions-as-text.json").write_text(json.dumps({"facts": facts, "rows": numbers}, indent=1) + "\n", encoding="utf-8")
    page = directory / "functions-as-text.md"
    if page.is_file():
        before, rest = page.read_text(encoding="utf-8").split("<!-- table -->\n", 1)
        after = rest.split("<!-- end of table -->\n", 1)[1]
        page.write_text("\n".join([before + "<!-- table -->", *table(rows), "<!-- end of table -->\n"]) + after, encoding="utf-8")
