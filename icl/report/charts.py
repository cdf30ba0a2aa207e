"""Charts of a run, as Vega-Lite specs made with Altair.

No spec names a colour: categories, ramps and the styles `reference`, `interval`, `count`, `count-strong` and `quiet` come from the page's
theme (page.js), so that one spec serves light and dark. Widths follow the container.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Rows = list[dict[str, Any]]
Spec = dict[str, Any]

ROW = 54
"""Height of one row of a strip, in pixels."""


def strip(
    episodes: Rows, means: Rows, groups: Sequence[str], title: str, guess: float | None, limits: tuple[float, float] = (0.0, 1.0)
) -> Spec:
    """One row per group: each episode a circle, their mean a point with its 95 % interval.

    `episodes`: group, episode, value. `means`: group, mean, low, high (null for one episode). `guess` is marked by a line. An interval
    that goes beyond `limits`, the least and greatest possible value, is cut there: with few episodes it would squeeze everything else.
    """
    import altair as alt

    axis = alt.Axis(ticks=False, domain=False, labelPadding=10) if len(groups) > 1 else None
    y = alt.Y("group:N", sort=list(groups), title=None, axis=axis)
    shown = [*(row["value"] for row in episodes), *(row[end] for row in means for end in ("low", "high") if row[end] is not None)]
    scale = alt.Scale(domain=_domain([*shown, *([] if guess is None else [guess])], limits), nice=False, clamp=True)
    color = alt.Color("group:N", sort=list(groups), scale=alt.Scale(domain=list(groups)), legend=None)

    def x(field: str) -> Any:
        return alt.X(f"{field}:Q", title=None, scale=scale, axis=alt.Axis(tickCount=6))

    tips = [alt.Tooltip("group:N", title=" "), alt.Tooltip("episode:N"), alt.Tooltip("value:Q", title=title.lower(), format=".3f")]
    circles = (
        alt.Chart(alt.InlineData(values=episodes))
        .mark_circle(size=34, opacity=0.5)
        .encode(
            y=y,
            yOffset=alt.YOffset("episode:O", sort=None),
            x=x("value"),
            color=color,
            tooltip=tips,
        )
    )
    interval_tips = [alt.Tooltip("group:N", title=" ")] + [alt.Tooltip(f"{name}:Q", format=".3f") for name in ("mean", "low", "high")]
    base = alt.Chart(alt.InlineData(values=means)).encode(y=y, color=color, tooltip=interval_tips)
    interval = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=2.5).encode(x=x("low"), x2="high:Q")
    mean = base.mark_point(filled=True, size=110, opacity=1, shape="diamond").encode(x=x("mean"))
    layers = [circles, interval, mean]
    if guess is not None:
        line = alt.Chart(alt.InlineData(values=[{"guess": guess}])).mark_rule(style="reference")
        layers.insert(0, line.encode(x=x("guess"), tooltip=alt.Tooltip("guess:Q", title="guessing", format=".3f")))
    return spec_of(alt.layer(*layers), height=ROW * len(groups))


def confusion(cells: Rows, labels: Sequence[str]) -> Spec:
    """`cells`: target, predicted, count, share (of the target's queries), for one calibration."""
    import altair as alt

    small = len(labels) > 10
    x = alt.X("predicted:N", sort=list(labels), title="predicted", axis=alt.Axis(labelAngle=-45 if len(labels) > 4 else 0))
    y = alt.Y("target:N", sort=list(labels), title="target")
    base = alt.Chart(alt.InlineData(values=cells)).encode(x=x, y=y)
    tips = [alt.Tooltip(f"{name}:N") for name in ("target", "predicted", "count")] + [alt.Tooltip("share:Q", format=".0%")]
    fill = alt.Color("share:Q", scale=alt.Scale(domain=[0, 1], interpolate="rgb"), legend=None)
    layers = [base.mark_rect(style="cell").encode(color=fill, tooltip=tips)]
    if not small:
        text = base.encode(text="count:Q")
        layers.append(text.transform_filter("datum.share <= 0.55").mark_text(style="count"))
        layers.append(text.transform_filter("datum.share > 0.55").mark_text(style="count-strong"))
    return spec_of(alt.layer(*layers), height=(18 if small else 46 if len(labels) > 4 else 62) * len(labels))


def reliability(bins: Rows) -> Spec:
    """`bins`: low, high, confidence, accuracy, count, share (of all queries); empty bins left out. Bars show the share of queries."""
    import altair as alt

    unit, axis = alt.Scale(domain=[0, 1]), alt.Axis(values=[0, 0.25, 0.5, 0.75, 1], format=".2~f")
    diagonal = alt.Chart(alt.InlineData(values=[{"x": 0, "y": 0}, {"x": 1, "y": 1}])).mark_line(style="reference").encode(x="x:Q", y="y:Q")
    base = alt.Chart(alt.InlineData(values=bins))
    names = (("confidence", ".3f"), ("accuracy", ".3f"), ("count", ","), ("share", ".0%"))
    tips = [alt.Tooltip(f"{name}:Q", format=form) for name, form in names]
    x, x2 = alt.X("low:Q", title="confidence", scale=unit, axis=axis), alt.X2("high:Q")
    y, floor = alt.Y("share:Q", title="share right", scale=unit, axis=axis), alt.Y2(datum=0)
    bars = base.mark_rect(style="quiet").encode(x=x, x2=x2, y=y, y2=floor, tooltip=tips)
    curve = base.encode(x="confidence:Q", y="accuracy:Q", tooltip=tips)
    layers = (bars, diagonal, curve.mark_line(strokeWidth=1.5), curve.mark_point(filled=True, size=60, opacity=1))
    return spec_of(alt.layer(*layers), height=210)


def label_shares(shares: Rows, labels: Sequence[str], calibrations: Sequence[str]) -> Spec:
    """`shares`: label, calibration, true, predicted. Bars of equal length behind each label's points look like one: an offset scale is
    shared by all layers, so that a single bar would stand beside them."""
    import altair as alt

    y = alt.Y("label:N", sort=list(labels), title=None, axis=alt.Axis(ticks=False, domain=False, labelPadding=10))
    order = list(calibrations)
    legend = alt.Legend(title=None, orient="top", columns=2, symbolType="circle")
    colour = alt.Color("calibration:N", sort=order, scale=alt.Scale(domain=order), legend=legend)
    tips = [alt.Tooltip(f"{n}:N") for n in ("label", "calibration")] + [alt.Tooltip(f"{n}:Q", format=".1%") for n in ("true", "predicted")]
    row = alt.YOffset("calibration:N", sort=order, scale=alt.Scale(paddingInner=0, paddingOuter=0))
    x = {name: alt.X(f"{name}:Q", title="share of queries", axis=alt.Axis(format="%", tickCount=6)) for name in ("true", "predicted")}
    base = alt.Chart(alt.InlineData(values=shares)).encode(y=y, yOffset=row, tooltip=tips)
    bars = base.mark_bar(style="quiet").encode(x=x["true"])
    points = base.mark_point(filled=True, size=70, opacity=1).encode(x=x["predicted"], color=colour)
    return spec_of(alt.layer(bars, points), height=max(24, 13 * len(order)) * len(labels))


def intervals(rows: Rows, names: Sequence[str], series: Sequence[str], title: str) -> Spec:
    """One row per name, in it a point with its interval per series. `rows`: name, series, value, low, high (null where there is none); 0 is
    marked."""
    import altair as alt

    y = alt.Y("name:N", sort=list(names), title=None, axis=alt.Axis(ticks=False, domain=False, labelPadding=10, labelLimit=170))
    order = list(series)
    legend = alt.Legend(title=None, orient="top", columns=2, symbolType="circle") if len(order) > 1 else None
    colour = alt.Color("series:N", sort=order, scale=alt.Scale(domain=order), legend=legend)
    tips = [alt.Tooltip(f"{n}:N", title=" ") for n in ("name", "series")]
    tips += [alt.Tooltip(f"{n}:Q", format=".1f") for n in ("value", "low", "high")]
    row = alt.YOffset("series:N", sort=order, scale=alt.Scale(paddingInner=0, paddingOuter=0.4))
    x = {name: alt.X(f"{name}:Q", title=title, axis=alt.Axis(tickCount=6)) for name in ("value", "low")}
    base = alt.Chart(alt.InlineData(values=rows)).encode(y=y, yOffset=row, color=colour, tooltip=tips)
    zero = alt.Chart(alt.InlineData(values=[{"zero": 0}])).mark_rule(style="reference").encode(x="zero:Q")
    lines = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=2.5).encode(x=x["low"], x2="high:Q")
    points = base.mark_point(filled=True, size=80, opacity=1).encode(x=x["value"])
    return spec_of(alt.layer(zero, lines, points), height=max(30, 18 * len(order)) * len(names))


def _domain(values: Sequence[float], limits: tuple[float, float]) -> list[float]:
    """A little wider than the values, but within the limits."""
    low, high = max(min(values), limits[0]), min(max(values), limits[1])
    pad = 0.06 * max(high - low, 0.1)
    return [max(low - pad, limits[0]), min(high + pad, limits[1])]


def spec_of(chart: Any, height: int) -> Spec:
    """The spec without what only an editor needs; `null` where Altair says so."""
    # Altair checked every part when it was made; checking the whole against the schema again takes a third of a report's time.
    spec: Spec = chart.properties(width="container", height=height).to_dict(validate=False)
    for name in ("$schema", "config"):  # the schema is an address; Altair's default config fixes sizes that the theme decides
        spec.pop(name, None)
    return spec
