"""Tables, numbers and plot of the study of in-context linear regression. Pure functions of its results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from drawing import svg

from icl.intervals import t_interval

IN_WORDS = {
    "none": "as in training",
    "inputs-third": "inputs × 1/3",
    "inputs-double": "inputs × 2",
    "inputs-triple": "inputs × 3",
    "targets-triple": "targets × 3",
    "noise": "noise of variance 1",
    "subspace": "inputs in half the dimensions",
    "skewed": "inputs skewed",
    "orthants": "shown in one orthant",
}


def estimate(values: Any) -> tuple[float, float]:
    """Mean over functions, and half its 95 % interval (Student's t)."""
    low, high = t_interval(values) or (float("nan"), float("nan"))
    return float(np.mean(values)), (high - low) / 2


def cell(values: Any) -> str:
    """`0.512 ± 0.034`."""
    mean, half = estimate(values)
    return f"{mean:.3f} ± {half:.3f}"


def along_table(results: dict[str, Any]) -> list[str]:
    """Markdown: errors as in training, after so many examples."""
    d, errors = results["facts"]["d"], results["errors"]["none"]
    shown = [0, *sorted({max(1, d // 2), d - 1, d, 3 * d // 2, 2 * d})]
    lines = [f"| learner, d = {d} | " + " | ".join(f"after {n}" for n in shown) + " |", "|---" * (len(shown) + 1) + "|"]
    return [*lines, *(f"| {name} | {' | '.join(cell(of[:, n]) for n in shown)} |" for name, of in errors.items())]


def shift_table(results: dict[str, Any]) -> list[str]:
    """Markdown: errors after 2d examples, by shift."""
    names, n = list(results["errors"]["none"]), 2 * results["facts"]["d"]
    lines = [f"| after {n} examples | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for shift, of in results["errors"].items():
        lines.append(f"| {IN_WORDS[shift]} | {' | '.join(cell(of[name][:, n]) for name in names)} |")
    return lines


def print_tables(results: dict[str, Any]) -> None:
    """To standard output."""
    print("\n".join([*along_table(results), "", *shift_table(results)]))


def plot(results: dict[str, Any]) -> str:
    """SVG: a panel per shift, error against the number of examples."""
    import altair as alt

    rows = []
    for shift, of in results["errors"].items():
        for name, errors in of.items():
            for n in range(errors.shape[1]):
                mean, half = estimate(errors[:, n])
                rows.append(
                    {"shift": IN_WORDS[shift], "learner": name, "n": n, "mean": mean, "low": max(mean - half, 0.0), "high": mean + half}
                )
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X("n:Q", title="examples shown"),
        color=alt.Color("learner:N", sort=list(results["errors"]["none"]), title=None),
    )  # fmt: skip
    scale = alt.Scale(domain=[0, 1.6], clamp=True)
    line = base.mark_line().encode(y=alt.Y("mean:Q", title="squared error ÷ mean of y²", scale=scale))
    band = base.mark_area(opacity=0.2).encode(y=alt.Y("low:Q", scale=scale), y2="high:Q")
    panel = alt.layer(band, line).properties(width=220, height=160)
    chart = panel.facet(facet=alt.Facet("shift:N", sort=list(IN_WORDS.values()), title=None), columns=3)
    return svg(chart)


def write_docs(results: dict[str, Any], directory: Path) -> None:
    """`linear-regression-d5.svg` and `.json` (d as it was), and the tables between their marks in `linear-regression.md`."""
    directory.mkdir(parents=True, exist_ok=True)
    d = results["facts"]["d"]
    (directory / f"linear-regression-d{d}.svg").write_text(plot(results), encoding="utf-8")
    numbers = {
        "facts": results["facts"],
        "errors": {
            shift: {name: [[round(v, 5) for v in estimate(errors[:, n])] for n in range(errors.shape[1])] for name, errors in of.items()}
            for shift, of in results["errors"].items()
        },
    }
    (directory / f"linear-regression-d{d}.json").write_text(json.dumps(numbers) + "\n", encoding="utf-8")
    page = directory / "linear-regression.md"
    begin, end = f"<!-- tables of d = {d} -->\n", f"<!-- end of tables of d = {d} -->\n"
    if page.is_file() and begin in (text := page.read_text(encoding="utf-8")):
        before, rest = text.split(begin, 1)
        lines = [*along_table(results), "", *shift_table(results), ""]
        page.write_text(before + begin + "\n".join(lines) + end + rest.split(end, 1)[1], encoding="utf-8")
