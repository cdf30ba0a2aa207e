"""How good a learner is while it is meta-trained, on what it is trained on and on what it is not; and what it does with permuted labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from compare.report import charts, looks
from compare.report.charts import Limits
from compare.report.facts import Json
from icl.report.charts import Rows, Spec, spec_of
from icl.report.facts import number, signed
from icl.report.figures import Figure, Table

PARTS = {"train": "meta-train", "validation": "meta-validation"}
"""What the summary calls them, and what the page does."""
COURSE_HEAD = ("Learner", "K", "Steps", "Meta-train", "Meta-validation", "Best of it", "Gap")
PERMUTED_HEAD = ("Learner", "K", "Meta-train, as it is", "Labels permuted", "Test, as it is", "Labels permuted", "Episodes")
TALL = 200


def course_figures(summary: Json, chance: float) -> list[Figure]:
    """A panel per learner, at the largest K."""
    rows = [row for row in summary["rows"] if row.get("course") and row["k_shot"] == max(r["k_shot"] for r in summary["rows"])]
    points = {row["learner"]: _points(row) for row in rows}
    if not points:
        return []
    within = charts.limits([point for of in points.values() for point in of], chance)
    return [_figure(row, points[row["learner"]], chance, within) for row in rows]


def _points(row: Json) -> list[dict[str, Any]]:
    out = []
    for point in row["course"]:
        for part, name in PARTS.items():
            if (of := point[part]) is not None:
                low, high = of["ci95"] or (None, None)
                shown = {"step": point["step"], "mean": of["mean"], "low": low, "high": high}
                out.append({"learner": row["learner"], "kind": looks.kind_of(row["learner"]), "part": name, **shown})
    return out


def _figure(row: Json, points: list[dict[str, Any]], chance: float, within: Limits) -> Figure:
    learner, first, last = row["learner"], row["course"][0], row["course"][-1]
    words = "; ".join(
        f"{name} {number(first[part]['mean'])} before, {number(last[part]['mean'])} after" for part, name in PARTS.items() if last[part]
    )
    table = tuple((str(point["step"]), *(_with_interval(point[part]) for part in PARTS)) for point in row["course"])
    label = f"Accuracy of {learner} while it is meta-trained: {words}"
    return Figure(f"course-{learner}", learner, label, chart(points, chance, within), Table(("Step", *PARTS.values()), table))


def chart(points: Rows, guess: float, within: Limits) -> Spec:
    """`points` of one learner: learner, part, step, mean, low, high."""
    import altair as alt

    scale = alt.Scale(domain=list(within), nice=False, clamp=True)

    def y(field: str) -> Any:
        return alt.Y(f"{field}:Q", title="accuracy", scale=scale, axis=alt.Axis(tickCount=5, grid=True))

    names = list(PARTS.values())
    dash = alt.StrokeDash("part:N", scale=alt.Scale(domain=names, range=[[5, 3], [1, 0]]), legend=None)
    colour = alt.Color("learner:N", sort=list(looks.ORDER), scale=alt.Scale(domain=list(looks.ORDER)), legend=None)
    tips = ["part:N", "step:Q", *(alt.Tooltip(f"{n}:Q", format=".3f") for n in ("mean", "low", "high"))]
    x = alt.X("step:Q", title="outer step", axis=alt.Axis(tickCount=5, grid=False))
    base = alt.Chart(alt.InlineData(values=points)).encode(x=x, color=colour, tooltip=tips)
    layers = [
        alt.Chart(alt.InlineData(values=[{"guess": guess}])).mark_rule(style="reference").encode(y=y("guess")),
        base.transform_filter("isValid(datum.low)").mark_area(opacity=0.13).encode(y=y("low"), y2="high:Q", detail="part:N"),
        base.mark_line(strokeWidth=1.75).encode(y=y("mean"), strokeDash=dash),
        base.mark_point(filled=True, size=30, opacity=1).encode(y=y("mean"), detail="part:N"),
    ]
    return spec_of(alt.layer(*layers), height=TALL)


def course_rows(summary: Json) -> tuple[tuple[str, ...], ...]:
    """Learner, K, steps, then accuracies from before the first step to after the last."""
    out = []
    for row in summary["rows"]:
        if not row.get("course"):
            continue
        first, last = row["course"][0], row["course"][-1]
        cells = (row["learner"], str(row["k_shot"]), str(last["step"]), _from_to(first["train"]["mean"], last["train"]["mean"]))
        if last["validation"] is None:
            out.append((*cells, "", "", ""))
            continue
        best = max(row["course"], key=lambda point: point["validation"]["mean"])  # the earliest of equal ones
        seen = _from_to(first["validation"]["mean"], last["validation"]["mean"])
        gaps = [point["train"]["mean"] - point["validation"]["mean"] for point in (first, last)]
        gap = _from_to(gaps[0], gaps[1], signed)
        out.append((*cells, seen, f"{number(best['validation']['mean'])} at {best['step']}", gap))
    return tuple(out)


def _from_to(before: float, after: float, write: Callable[[float], str] = number) -> str:
    return f"{write(before)} → {write(after)}"


def permuted_rows(summary: Json) -> tuple[tuple[str, ...], ...]:
    """Learner, K, then accuracies of meta-training and of the test, and of how many episodes."""
    return tuple(
        (row["learner"], str(row["k_shot"]), *_pair(found["train"]), *_pair(found["test"]), _episodes(found))
        for row in summary["rows"]
        if (found := row.get("permuted_labels"))
    )


def _pair(of: Json | None) -> tuple[str, str]:
    return (with_margin(of["plain"]), with_margin(of["permuted"])) if of else ("", "")


def _episodes(found: Json) -> str:
    return ", ".join(f"{found[part]['episodes']} {part}" for part in ("train", "test") if found[part])


def with_margin(of: Json, write: Callable[[float], str] = number) -> str:
    """`0.842 ± 0.041`: half of Student's interval; the mean alone where there is none."""
    low, high = of["ci95"] or (None, None)
    return write(of["mean"]) + (f" ± {number((high - low) / 2)}" if low is not None else "")


def _with_interval(of: Mapping[str, Any] | None) -> str:
    if of is None:
        return ""
    interval = of["ci95"]
    return number(of["mean"]) + (f" [{number(interval[0])}, {number(interval[1])}]" if interval else "")
