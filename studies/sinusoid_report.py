"""Table, numbers and plot of the sinusoid study. Pure functions of its results."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from drawing import svg

from icl.intervals import t_interval

SHOWN = (0, 1, 5, 10)
PUBLISHED = {(5, "maml"): "1.13 ± 0.18", (5, "meta-sgd"): "0.90 ± 0.16"}
"""(Shots, learner) → the error after one step that Li et al. 2017 report for both; what differs stands in the document."""

LARGEST = 100.0
"""Errors above this are left out of the plot; the table has them."""


def estimate(values: Any) -> tuple[float, float] | None:
    """Mean over tasks, and half its 95 % interval; None when adapting to a task ended in something that is not a number."""
    if not np.isfinite(values).all():
        return None
    low, high = t_interval([float(v) for v in values]) or (float("nan"), float("nan"))
    return float(np.mean(values)), (high - low) / 2


def median(values: Any) -> float:
    """Over tasks; one that diverged has the largest error of all."""
    return round(float(np.median(np.where(np.isfinite(values), values, np.inf))), 4)


def cell(values: Any) -> str:
    """`0.512 ± 0.034`, or in how many tasks adapting diverged."""
    if (found := estimate(values)) is None:
        return f"diverges in {int((~np.isfinite(values)).sum())} of {len(values)}"
    digits = 3 if found[0] < 100 else 0
    return f"{found[0]:,.{digits}f} ± {found[1]:,.{digits}f}"


def table(results: Sequence[dict[str, Any]]) -> list[str]:
    """Markdown."""
    lines = [
        "| learner | K | " + " | ".join(f"after {s} step{'s' if s != 1 else ''}" for s in SHOWN) + " | inner rate | published, after 1 |",
        "|---" * (len(SHOWN) + 4) + "|",
    ]
    for r in results:
        cells = [cell(r["errors"][s]) for s in SHOWN]
        published = PUBLISHED.get((r["shots"], r["name"]), "")
        rate = "learnt" if r["name"] == "meta-sgd" else "none" if r["told"] else f"{r['test_lr']:g}"
        lines.append(f"| {r['name']} | {r['shots']} | {' | '.join(cells)} | {rate} | {published} |")
    return lines


def print_table(results: Sequence[dict[str, Any]]) -> None:
    """To standard output."""
    print("\n".join(table(results)))


def plot(results: Sequence[dict[str, Any]]) -> str:
    """SVG: error against inner steps, and the validation error over meta-training."""
    import altair as alt

    bars: list[dict[str, Any]] = []
    for r in results:
        for s, found in enumerate(map(estimate, r["errors"])):
            if found is not None and found[0] < LARGEST:
                mean, half = found
                bars.append({"learner": r["name"], "steps": s, "mse": mean, "low": max(mean - half, mean / 10), "high": mean + half})
    curves = [{"learner": r["name"], "step": step, "mse": mse} for r in results for step, mse in r["curve"]]
    colour = alt.Color("learner:N", sort=[r["name"] for r in results], title=None)
    scale = alt.Scale(type="log")
    steps = alt.Chart(alt.Data(values=bars)).encode(x=alt.X("steps:Q", title="gradient steps on the support"), color=colour)
    left = steps.mark_line(point=True).encode(y=alt.Y("mse:Q", title="mean squared error, 600 test tasks", scale=scale))
    band = steps.mark_errorbar().encode(y=alt.Y("low:Q", title=""), y2="high:Q")
    right = alt.Chart(alt.Data(values=curves)).mark_line().encode(
        x=alt.X("step:Q", title="meta-training steps"),
        y=alt.Y("mse:Q", title="after one step, 200 validation tasks", scale=scale),
        color=colour,
    )  # fmt: skip
    chart = alt.hconcat((left + band).properties(width=320, height=260), right.properties(width=320, height=260))
    return svg(chart)


def write_docs(results: Sequence[dict[str, Any]], directory: Path) -> None:
    """`sinusoid.svg`, `sinusoid.json` (after 0, 1, … steps), and the table between its marks in `sinusoid.md`."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "sinusoid.svg").write_text(plot(results), encoding="utf-8")
    numbers = [
        {
            **{name: value for name, value in r.items() if name != "errors"},
            "mse": [estimate(errors) for errors in r["errors"]],
            "median": [median(errors) for errors in r["errors"]],
        }
        for r in results
    ]
    (directory / "sinusoid.json").write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    page = directory / "sinusoid.md"
    if page.is_file():
        before, rest = page.read_text(encoding="utf-8").split("<!-- table -->\n", 1)
        after = rest.split("<!-- end of table -->\n", 1)[1]
        page.write_text("\n".join([before + "<!-- table -->", *table(results), "<!-- end of table -->\n"]) + after, encoding="utf-8")
