"""Charts of adapting step by step, and of what goes with failing. See compare/report/charts.py for how learners look."""

from __future__ import annotations

import math
from typing import Any

from compare.report import looks
from compare.report.charts import TALL, Limits, _by_kind, _colour
from icl.report.charts import Rows, Spec, spec_of

FAINT = 0.4
"""Opacity of what lies beyond the trained number of steps."""


def against_adapting(points: Rows, guess: float, within: Limits) -> Spec:
    """Demonstrations and gradient steps on one axis of FLOPs; the dashed line is what guessing gets.

    `points`: learner, kind, flops, mean, what ("5 steps", "K = 4"), place (order along the learner's line), past (beyond the trained number
    of steps), last (the trained number), marked (that, or a point of the prompt), said (whether `what` is written beside it). 0 FLOPs stand
    at the left end.
    """
    import altair as alt

    positive = [row["flops"] for row in points if row["flops"] > 0] or [1.0]
    low = 10 ** (math.floor(math.log10(min(positive))) - 0.5)
    nothing = [{**row, "at": row["flops"] or low} for row in points]
    decades = [10**power for power in range(math.ceil(math.log10(low)), math.ceil(math.log10(max(positive) * 1.5)) + 1)]
    axis = alt.Axis(
        values=[low, *decades], labelExpr=f"datum.value < {low * 1.01} ? '0' : format(datum.value, '~s')", grid=False, labelOverlap=True
    )
    scale = alt.Scale(type="log", domain=[low, max(positive) * 1.6], nice=False)
    x = alt.X("at:Q", title="FLOP to adapt", scale=scale, axis=axis)
    y = alt.Y(
        "mean:Q", title="accuracy", scale=alt.Scale(domain=list(within), nice=False, clamp=True), axis=alt.Axis(tickCount=6, grid=True)
    )
    tips = [
        "learner:N",
        alt.Tooltip("what:N", title=" "),
        alt.Tooltip("flops:Q", format=".3s", title="FLOP"),
        alt.Tooltip("mean:Q", format=".3f"),
    ]
    base = alt.Chart(alt.InlineData(values=nothing)).encode(x=x, y=y, color=_colour(), tooltip=tips)
    line = base.mark_line(strokeWidth=1.75).encode(order="place:Q", strokeDash=_by_kind(alt.StrokeDash, looks.DASHES))
    shape = _by_kind(alt.Shape, looks.SHAPES)
    layers = [
        alt.Chart(alt.InlineData(values=[{"guess": guess}])).mark_rule(style="reference").encode(y=alt.Y("guess:Q", title="accuracy")),
        line.transform_filter("!datum.past || datum.last").encode(opacity=alt.value(1)),
        line.transform_filter("datum.past || datum.last").encode(opacity=alt.value(FAINT)),
        base.transform_filter("!datum.marked")
        .mark_point(filled=True, size=22)
        .encode(shape=shape, opacity=alt.condition("datum.past", alt.value(FAINT), alt.value(0.9))),
        base.transform_filter("datum.marked").mark_point(filled=True, size=95, opacity=1).encode(shape=shape),
        base.transform_filter("datum.said && datum.flops > 0").mark_text(dy=-12, fontSize=10).encode(text="what:N"),
        base.transform_filter("datum.said && datum.flops <= 0").mark_text(dy=-12, dx=-3, fontSize=10, align="left").encode(text="what:N"),
    ]
    return spec_of(alt.layer(*layers), height=TALL)


def by_step(points: Rows, guess: float, within: Limits) -> Spec:
    """`points`: learner, kind, step, mean, past, last. The dashed line is what guessing gets."""
    import altair as alt

    x = alt.X("step:Q", title="steps taken", axis=alt.Axis(tickMinStep=1, format="d", grid=False))
    y = alt.Y(
        "mean:Q", title="accuracy", scale=alt.Scale(domain=list(within), nice=False, clamp=True), axis=alt.Axis(tickCount=6, grid=True)
    )
    tips = ["learner:N", "step:Q", alt.Tooltip("mean:Q", format=".3f")]
    base = alt.Chart(alt.InlineData(values=points)).encode(x=x, y=y, color=_colour(), tooltip=tips)
    line = base.mark_line(strokeWidth=1.75).encode(strokeDash=_by_kind(alt.StrokeDash, looks.DASHES))
    shape = _by_kind(alt.Shape, looks.SHAPES)
    layers = [
        alt.Chart(alt.InlineData(values=[{"guess": guess}])).mark_rule(style="reference").encode(y=alt.Y("guess:Q", title="accuracy")),
        line.transform_filter("!datum.past").encode(opacity=alt.value(1)),
        line.transform_filter("datum.past || datum.last").encode(opacity=alt.value(FAINT)),
        base.transform_filter("!datum.last").mark_point(filled=True, size=30, opacity=0.8).encode(shape=shape),
        base.transform_filter("datum.last").mark_point(filled=True, size=95, opacity=1).encode(shape=shape),
    ]
    return spec_of(alt.layer(*layers), height=240)


def along_steps(points: Rows, broken: Rows, title: str) -> Spec:
    """A quantity of the inner loop against the step, logarithmic: median over episodes, and a band from the least to the greatest.

    `points`: learner, kind, step, middle, low, high. `broken`: learner, kind, step, what: a cross on top where a value was not finite.
    """
    import altair as alt

    x = alt.X("step:Q", title="steps taken", axis=alt.Axis(tickMinStep=1, format="d", grid=False))
    scale = alt.Scale(type="log", nice=False, padding=6)
    axis = alt.Axis(format="~g", tickCount=5, grid=True, labelOverlap="greedy")
    tips = ["learner:N", "step:Q", *(alt.Tooltip(f"{n}:Q", format=".3~g") for n in ("middle", "low", "high"))]
    base = alt.Chart(alt.InlineData(values=points)).encode(x=x, color=_colour(), tooltip=tips)
    y = alt.Y("middle:Q", title=title, scale=scale, axis=axis)
    layers = [
        base.mark_area(opacity=0.14).encode(y=alt.Y("low:Q", title=title, scale=scale, axis=axis), y2="high:Q"),
        base.mark_line(strokeWidth=1.75).encode(y=y, strokeDash=_by_kind(alt.StrokeDash, looks.DASHES)),
        base.mark_point(filled=True, size=40, opacity=1).encode(y=y, shape=_by_kind(alt.Shape, looks.SHAPES)),
    ]
    if broken:
        cross = alt.Chart(alt.InlineData(values=broken)).mark_point(shape="cross", size=140, angle=45, filled=True, opacity=1)
        layers.append(cross.encode(x=x, y=alt.value(8), color=_colour(), tooltip=["learner:N", "step:Q", alt.Tooltip("what:N", title=" ")]))
    return spec_of(alt.layer(*layers), height=240)


def against_overlap(points: Rows, guess: float) -> Spec:
    """`points`: learner, kind, episode, silhouette, accuracy."""
    import altair as alt

    x = alt.X("silhouette:Q", title="silhouette of the classes", scale=alt.Scale(zero=False, padding=14), axis=alt.Axis(tickCount=6))
    y = alt.Y("accuracy:Q", title="accuracy", scale=alt.Scale(zero=False, padding=10), axis=alt.Axis(tickCount=6, grid=True))
    tips: list[Any] = ["learner:N", "episode:N", *(alt.Tooltip(f"{n}:Q", format=".3f") for n in ("silhouette", "accuracy"))]
    base = alt.Chart(alt.InlineData(values=points)).encode(x=x, y=y, color=_colour(), tooltip=tips)
    line = alt.Chart(alt.InlineData(values=[{"guess": guess}])).mark_rule(style="reference").encode(y=alt.Y("guess:Q", title="accuracy"))
    shapes = base.mark_point(filled=True, size=70, opacity=0.7).encode(shape=_by_kind(alt.Shape, looks.SHAPES))
    return spec_of(alt.layer(line, shapes), height=220)
