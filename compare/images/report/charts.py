"""Charts of a comparison on images, as Vega-Lite specs made with Altair; colours come from the page's theme."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from icl.report.charts import Rows, Spec, spec_of

ROW = 34
"""Height of a learner's row, in pixels."""
TALL = 260


def accuracy(rows: Rows, learners: Sequence[str], chance: float) -> Spec:
    """`rows`: learner, mean, low, high (null for one episode). The dashed line is what guessing gets."""
    import altair as alt

    ends = [row[name] for row in rows for name in ("mean", "low", "high") if row[name] is not None]
    scale = alt.Scale(domain=[min(chance, *ends), min(1.0, max(ends) + 0.01)], nice=False, clamp=True)
    y = alt.Y("learner:N", sort=list(learners), title=None, axis=alt.Axis(ticks=False, domain=False, labelPadding=10))
    tips = [alt.Tooltip("learner:N"), *(alt.Tooltip(f"{name}:Q", format=".3f") for name in ("mean", "low", "high"))]

    def x(field: str) -> Any:
        return alt.X(f"{field}:Q", title="accuracy", scale=scale, axis=alt.Axis(tickCount=6))

    colour = alt.Color("learner:N", sort=list(learners), scale=alt.Scale(domain=list(learners)), legend=None)
    base = alt.Chart(alt.InlineData(values=rows)).encode(y=y, tooltip=tips, color=colour)
    layers = [
        alt.Chart(alt.InlineData(values=[{"chance": chance}])).mark_rule(style="reference").encode(x=x("chance")),
        base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=2.5).encode(x=x("low"), x2="high:Q"),
        base.mark_point(filled=True, size=90, opacity=1, shape="diamond").encode(x=x("mean")),
    ]
    return spec_of(alt.layer(*layers), height=ROW * len(learners))


def curve(rows: Rows, series: Sequence[str], chance: float) -> Spec:
    """`rows`: step, series, accuracy."""
    import altair as alt

    order = list(series)
    scale = alt.Scale(domain=[0, 1], nice=False)
    legend = alt.Legend(title=None, orient="top", columns=1, symbolType="stroke", labelLimit=260)
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X("step:Q", title="outer steps", axis=alt.Axis(tickCount=6)),
        y=alt.Y("accuracy:Q", title="accuracy", scale=scale, axis=alt.Axis(tickCount=6, grid=True)),
        color=alt.Color("series:N", sort=order, scale=alt.Scale(domain=order), legend=legend),
        tooltip=[alt.Tooltip("series:N", title=" "), alt.Tooltip("step:Q"), alt.Tooltip("accuracy:Q", format=".3f")],
    )
    guess = alt.Chart(alt.InlineData(values=[{"chance": chance}])).mark_rule(style="reference").encode(y=alt.Y("chance:Q", scale=scale))
    return spec_of(alt.layer(guess, base.mark_line(strokeWidth=1.75), base.mark_point(filled=True, size=40, opacity=1)), height=TALL)
