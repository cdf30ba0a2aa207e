"""Charts of a tuning, as Vega-Lite specs made with Altair; colours come from the page's theme, as in icl/report/charts.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from icl.report.charts import Rows, Spec, spec_of

TALL = 240
"""Height of a curve, in pixels."""


def history(points: Rows, steps: Rows, guess: float) -> Spec:
    """`points`: trial (from 1), accuracy, episodes, full (whether it played all of them), settings; `steps`: trial, best so far."""
    import altair as alt

    whole = alt.Axis(format="d", tickMinStep=1, grid=False)
    x = alt.X("trial:Q", title="trial", scale=alt.Scale(nice=False, padding=12), axis=whole)
    tips = [
        alt.Tooltip("trial:Q"),
        alt.Tooltip("accuracy:Q", format=".3f"),
        alt.Tooltip("episodes:Q"),
        alt.Tooltip("settings:N", title=" "),
    ]
    best = alt.Chart(alt.InlineData(values=steps)).mark_line(strokeWidth=2, interpolate="step-after")
    layers = [
        alt.Chart(alt.InlineData(values=[{"guess": guess}])).mark_rule(style="reference").encode(y=_accuracy("guess")),
        best.encode(x=x, y=_accuracy("accuracy")),
    ]
    for full, look in ((True, {"filled": True, "size": 60, "opacity": 1}), (False, {"size": 45, "opacity": 0.8})):
        if some := [point for point in points if point["full"] == full]:  # a layer without a point has no extent, and Vega says so
            drawn = alt.Chart(alt.InlineData(values=some)).mark_point(**look)
            layers.append(drawn.encode(x=x, y=_accuracy("accuracy"), tooltip=tips))
    return spec_of(alt.layer(*layers), height=TALL)


def importance(rows: Rows, names: Sequence[str]) -> Spec:
    """`rows`: name, share of the variance."""
    import altair as alt

    y = alt.Y("name:N", sort=list(names), title=None, axis=alt.Axis(ticks=False, domain=False, labelPadding=10))
    x = alt.X("share:Q", title="share of the variance of accuracy", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%", tickCount=5))
    tips = [alt.Tooltip("name:N", title=" "), alt.Tooltip("share:Q", format=".0%")]
    bars = alt.Chart(alt.InlineData(values=rows)).mark_bar(style="quiet").encode(y=y, x=x, tooltip=tips)
    return spec_of(bars, height=max(40, 26 * len(names)))


def pareto(points: Rows, methods: Sequence[str], guess: float) -> Spec:
    """`points`: method, trial, flops (per query), accuracy, front (whether none is better in both), settings."""
    import altair as alt

    scale = alt.Scale(type="log", nice=False, padding=16)
    x = alt.X(
        "flops:Q", title="FLOPs per query, adapting included", scale=scale, axis=alt.Axis(format="~s", tickCount=4, labelOverlap="greedy")
    )
    legend = alt.Legend(title=None, orient="top", columns=3, symbolType="circle", labelLimit=180) if len(methods) > 1 else None
    colour = alt.Color("method:N", sort=list(methods), scale=alt.Scale(domain=list(methods)), legend=legend)
    tips: list[Any] = [alt.Tooltip("method:N"), alt.Tooltip("trial:Q"), alt.Tooltip("accuracy:Q", format=".3f")]
    tips += [alt.Tooltip("flops:Q", format=".3s", title="FLOP per query"), alt.Tooltip("settings:N", title=" ")]
    front, behind = ([point for point in points if point["front"] == at] for at in (True, False))
    layers = [alt.Chart(alt.InlineData(values=[{"guess": guess}])).mark_rule(style="reference").encode(y=_accuracy("guess"))]
    if front:
        line = alt.Chart(alt.InlineData(values=front)).mark_line(style="reference", interpolate="step-after")
        layers.append(line.encode(x=x, y=_accuracy("accuracy"), order=alt.Order("flops:Q")))
    for some, look in ((behind, {"size": 55, "opacity": 0.75}), (front, {"filled": True, "size": 85, "opacity": 1})):
        if some:
            drawn = alt.Chart(alt.InlineData(values=some)).mark_point(**look)
            layers.append(drawn.encode(x=x, y=_accuracy("accuracy"), tooltip=tips, color=colour))
    return spec_of(alt.layer(*layers), height=TALL + 60)


def _accuracy(field: str) -> Any:
    import altair as alt

    return alt.Y(f"{field}:Q", title="accuracy", scale=alt.Scale(zero=False, padding=10), axis=alt.Axis(tickCount=6, grid=True))
