"""Charts of a sweep, as Vega-Lite specs made with Altair; colours come from the page's theme, as in icl/report/charts.py."""

from __future__ import annotations

from collections.abc import Sequence

from icl.report.charts import Rows, Spec, spec_of

TALL = 260
"""Height of a curve, in pixels."""


def against_shots(points: Rows, series: Sequence[str], title: str, guess: float | None) -> Spec:
    """`points`: shots, at (shots, moved a little so that intervals do not hide each other), series, mean, low, high (null for one draw)."""
    import altair as alt

    shots = sorted({row["shots"] for row in points})
    scale = alt.Scale(type="sqrt" if shots[-1] > 16 else "linear", nice=False, zero=False, padding=14)
    x = alt.X("at:Q", title="demonstrations in the prompt", scale=scale, axis=alt.Axis(values=shots, format="d", grid=False))
    y = alt.Y("mean:Q", title=title, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=6, grid=True))
    legend = alt.Legend(title=None, orient="top", columns=3, symbolType="circle", labelLimit=180) if len(series) > 1 else None
    color = alt.Color("series:N", sort=list(series), scale=alt.Scale(domain=list(series)), legend=legend)
    tips = [alt.Tooltip("series:N", title=" "), alt.Tooltip("shots:Q")]
    tips += [alt.Tooltip(f"{name}:Q", format=".3f") for name in ("mean", "low", "high")]
    base = alt.Chart(alt.InlineData(values=points)).encode(x=x, color=color, tooltip=tips)
    interval = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=1.5, opacity=0.7).encode(y=alt.Y("low:Q"), y2="high:Q")
    layers = [interval, base.mark_line(strokeWidth=2).encode(y=y), base.mark_point(filled=True, size=60, opacity=1).encode(y=y)]
    if guess is not None:
        layers.insert(0, alt.Chart(alt.InlineData(values=[{"guess": guess}])).mark_rule(style="reference").encode(y="guess:Q"))
    return spec_of(alt.layer(*layers), height=TALL)


def heat(cells: Rows, x: str, y: str, xs: Sequence[str], ys: Sequence[str], limits: tuple[float, float]) -> Spec:
    """`cells`: x, y, mean, text, strong (whether the shade is dark there), cells (rows averaged). `limits` are the ends of the shades."""
    import altair as alt

    across = alt.X("x:N", sort=list(xs), title=x, axis=alt.Axis(labelAngle=0 if sum(map(len, xs)) < 34 else -40, labelLimit=140))
    down = alt.Y("y:N", sort=list(ys), title=y, axis=alt.Axis(labelLimit=140))
    tips = [alt.Tooltip("x:N", title=x), alt.Tooltip("y:N", title=y), alt.Tooltip("mean:Q", format=".3f"), alt.Tooltip("cells:Q")]
    base = alt.Chart(alt.InlineData(values=cells)).encode(x=across, y=down)
    fill = alt.Color("mean:Q", scale=alt.Scale(domain=list(limits), interpolate="rgb"), legend=None)
    layers = [
        base.mark_rect(style="cell").encode(color=fill, tooltip=tips),
        base.transform_filter("!datum.strong").mark_text(style="count").encode(text="text:N"),
        base.transform_filter("datum.strong").mark_text(style="count-strong").encode(text="text:N"),
    ]
    return spec_of(alt.layer(*layers), height=max(40, 34 * len(ys)))
