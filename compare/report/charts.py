"""Charts of a comparison that other pages do not have, as Vega-Lite specs made with Altair; colours come from the page's theme.

Rows name their `learner` and its `kind`: the first decides the colour, the second shape and dash (compare/report/looks.py). There is no
legend in a chart: the page has one for all of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from compare.report import looks
from icl.report.charts import Rows, Spec, spec_of

TALL = 300
"""Height of a curve, in pixels."""
NUMBERED = 9
"""Largest matrix whose cells hold their number."""


def _colour() -> Any:
    import altair as alt

    return alt.Color("learner:N", sort=list(looks.ORDER), scale=alt.Scale(domain=list(looks.ORDER)), legend=None)


def _by_kind(channel: Any, table: dict[str, Any]) -> Any:
    import altair as alt

    return channel(
        "kind:N", scale=alt.Scale(domain=list(table), range=[list(v) if isinstance(v, tuple) else v for v in table.values()]), legend=None
    )


Limits = tuple[float, float]
"""Of the axis of accuracy."""


def limits(points: Rows, guess: float) -> Limits:
    """A little wider than means and intervals, within 0 and 1; panels of one figure share them."""
    ends = [row[end] for row in points for end in ("low", "high") if row[end] is not None]
    shown = [min(max(value, 0.0), 1.0) for value in (*ends, *(row["mean"] for row in points), guess)]
    pad = 0.04 * max(max(shown) - min(shown), 0.1)
    return max(0.0, min(shown) - pad), min(1.0, max(shown) + pad)


def _series(points: Rows, x: Any, tips: Sequence[Any], guess: float, within: Limits) -> list[Any]:
    """Intervals, lines and points of learners; the dashed line is what guessing gets. `points`: mean, low, high besides what `x` reads."""
    import altair as alt

    scale = alt.Scale(domain=list(within), nice=False, clamp=True)

    def y(field: str) -> Any:
        return alt.Y(f"{field}:Q", title="accuracy", scale=scale, axis=alt.Axis(tickCount=6, grid=True))

    base = alt.Chart(alt.InlineData(values=points)).encode(x=x, color=_colour(), tooltip=list(tips))
    return [
        alt.Chart(alt.InlineData(values=[{"guess": guess}])).mark_rule(style="reference").encode(y=y("guess")),
        base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=1.5, opacity=0.45).encode(y=y("low"), y2="high:Q"),
        base.mark_line(strokeWidth=1.75).encode(y=y("mean"), strokeDash=_by_kind(alt.StrokeDash, looks.DASHES)),
        base.mark_point(filled=True, size=75, opacity=1).encode(y=y("mean"), shape=_by_kind(alt.Shape, looks.SHAPES)),
    ]


def _tips(*more: Any) -> list[Any]:
    import altair as alt

    return [
        alt.Tooltip("learner:N"),
        alt.Tooltip("k:Q", title="K"),
        *more,
        *(alt.Tooltip(f"{n}:Q", format=".3f") for n in ("mean", "low", "high")),
    ]


def against_k(points: Rows, guess: float, within: Limits) -> Spec:
    """`points`: learner, kind, k, at (K, moved a little so that intervals do not hide each other), mean, low, high."""
    import altair as alt

    ks = sorted({row["k"] for row in points})
    scale = alt.Scale(type="log", base=2, domain=[ks[0] / 1.25, ks[-1] * 1.25], nice=False)
    x = alt.X("at:Q", title="K, examples per label", scale=scale, axis=alt.Axis(values=ks, format="d", grid=False))
    return spec_of(alt.layer(*_series(points, x, _tips(), guess, within)), height=TALL)


def against_cost(points: Rows, guess: float, within: Limits, title: str) -> Spec:
    """`points`: learner, kind, k, flops, mean, low, high; the points of a learner are joined from the smallest K to the largest."""
    import altair as alt

    low, high = min(row["flops"] for row in points), max(row["flops"] for row in points)
    scale = alt.Scale(type="log", domain=[low / 1.3, high * 1.3], nice=False)
    x = alt.X("flops:Q", title=title, scale=scale, axis=alt.Axis(format="~s", tickCount=4, labelOverlap="greedy"))
    layers = _series(points, x, _tips(alt.Tooltip("flops:Q", format=".3s", title="FLOP")), guess, within)
    layers[2] = layers[2].encode(order=alt.Order("k:Q"))
    return spec_of(alt.layer(*layers), height=TALL)


def against_window(points: Rows, guess: float) -> Spec:
    """`points`: learner, kind, k, episode, share (of the context window that the prompt fills), accuracy."""
    import altair as alt

    percent = alt.Axis(format="~%", tickCount=5, labelOverlap="greedy")
    x = alt.X("share:Q", title="share of the context window that the prompt fills", scale=alt.Scale(zero=False, padding=14), axis=percent)
    y = alt.Y("accuracy:Q", title="accuracy", scale=alt.Scale(zero=False, padding=10), axis=alt.Axis(tickCount=6, grid=True))
    tips = [alt.Tooltip("k:Q", title="K"), "episode:N", alt.Tooltip("share:Q", format=".1%"), alt.Tooltip("accuracy:Q", format=".3f")]
    circles = alt.Chart(alt.InlineData(values=points)).mark_circle(size=60, opacity=0.65).encode(x=x, y=y, color=_colour(), tooltip=tips)
    line = alt.Chart(alt.InlineData(values=[{"guess": guess}])).mark_rule(style="reference").encode(y=alt.Y("guess:Q", title="accuracy"))
    return spec_of(alt.layer(line, circles), height=220)


def _decades(field: str, title: str, rows: Rows) -> Any:
    """A logarithmic axis with a line at every power of ten."""
    import altair as alt

    low, high = (math.log10(end(row[field] for row in rows)) for end in (min, max))
    values = [10**power for power in range(math.ceil(low), math.floor(high) + 1)]
    channel = alt.X if field == "queries" else alt.Y
    axis = alt.Axis(format="~s", values=values, grid=True, labelOverlap="greedy")
    return channel(f"{field}:Q", title=title, scale=alt.Scale(type="log", nice=False), axis=axis)


def against_queries(points: Rows, prompt: Rows) -> Spec:
    """`points`: learner, kind, queries, flops. `prompt`: the same with `way`: a thick line for "alone", a thin one for "kept"."""
    import altair as alt

    every = [*points, *prompt]
    x, y = _decades("queries", "queries served", every), _decades("flops", "FLOP in total", every)
    tips = [alt.Tooltip("learner:N"), alt.Tooltip("queries:Q", format=","), alt.Tooltip("flops:Q", format=".3s")]
    base = alt.Chart(alt.InlineData(values=points)).encode(x=x, y=y, color=_colour(), tooltip=tips)
    thick = alt.StrokeWidth("way:O", scale=alt.Scale(domain=["alone", "kept"], range=[4, 2]), legend=None)
    prompts = alt.Chart(alt.InlineData(values=prompt)).encode(x=x, y=y, color=_colour(), strokeWidth=thick, tooltip=[*tips, "way:N"])
    lines = base.mark_line(strokeWidth=1.5).encode(strokeDash=_by_kind(alt.StrokeDash, looks.DASHES))
    return spec_of(alt.layer(prompts.mark_line(), lines), height=TALL)


def matrix(cells: Rows, names: Sequence[str]) -> Spec:
    """`cells`: a, b, share (null where there is none), text, strong (whether the shade is dark there)."""
    import altair as alt

    axis = alt.Axis(labelAngle=-45, labelLimit=120)
    x, y = alt.X("a:N", sort=list(names), title=None, axis=axis), alt.Y("b:N", sort=list(names), title=None, axis=alt.Axis(labelLimit=120))
    least = min((cell["share"] for cell in cells if cell["share"] is not None), default=0.0)
    fill = alt.Color("share:Q", scale=alt.Scale(domain=[least, 1], interpolate="rgb"), legend=None)
    tips = [alt.Tooltip("a:N", title=" "), alt.Tooltip("b:N", title="and"), alt.Tooltip("share:Q", title="same answer", format=".1%")]
    base = alt.Chart(alt.InlineData(values=cells)).encode(x=x, y=y)
    layers = [base.mark_rect(style="cell").encode(color=fill, tooltip=tips)]
    if len(names) <= NUMBERED:
        text = base.encode(text="text:N")
        layers.append(text.transform_filter("!datum.strong").mark_text(style="count", fontSize=11))
        layers.append(text.transform_filter("datum.strong").mark_text(style="count-strong", fontSize=11))
    return spec_of(alt.layer(*layers), height=max(120, (34 if len(names) <= NUMBERED else 24) * len(names)))
