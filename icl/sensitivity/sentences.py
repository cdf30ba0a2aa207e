"""What a report says in words, from `summary.json` alone: the same for the terminal and the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from icl.report.facts import percent
from icl.sensitivity.components import NORMAL

Json = Mapping[str, Any]

PHRASES = {
    "draw": "which demonstrations were drawn",
    "order": "the order of the same demonstrations",
    "template": "the template",
    "format": "the format of the same template",
    "words": "the label words",
    "draw_wording": "how the draw suits the wording",
    "order_wording": "how the order suits the wording",
}
"""Factor → what differs."""
NAMES = {
    "draw": "Draw of demonstrations",
    "order": "Order within a draw",
    "template": "Template",
    "format": "Format of a template",
    "words": "Label words",
    "draw_wording": "Draw x wording",
    "order_wording": "Order x wording",
}
"""Factor → the head of its row."""
LEVELS = {"draw": "draws", "order": "orders", "template": "templates", "format": "formats", "words": "words"}
"""Factor → its name in the design."""


def headline(of: Json) -> str:
    """The first words: shares of the variance of accuracy, largest first, and what a reader of one prompt should expect.

    `of` is `summary.json`'s entry of one calibration.
    """
    accuracy = of["measures"]["accuracy"]
    parts = [(name, c) for name, c in accuracy["components"].items() if c["share"] is not None]
    if not parts:
        return f"All prompts have the same accuracy, {percent(accuracy['mean'])}: with these queries none of it is luck of the prompt."
    ranked = sorted(parts, key=lambda part: -part[1]["share"])
    leading = _leading([c["share"] for _, c in ranked])
    ci = "95\u202f% CI "
    said = [
        f"{whole(c['share'])} ({ci if i == 0 else ''}{span(c['share_ci95'])}){' is' if i == 0 else ''} {PHRASES[name]}"
        for i, (name, c) in enumerate(ranked[:leading])
    ]
    if rest := ranked[leading:]:
        said.append(f"{whole(sum(c['share'] for _, c in rest))} the rest ({', '.join(NAMES[name].lower() for name, _ in rest)})")
    listed = said[0] if len(said) == 1 else f"{', '.join(said[:-1])} and {said[-1]}"
    return (
        f"Of the variance of accuracy between equally reasonable prompts, {listed}; "
        f"with one draw and one wording a reader should expect {expected(accuracy)}. "
        f"The prompts tried here range from {percent(accuracy['low'])} to {percent(accuracy['high'])}."
    )


def _leading(shares: list[float]) -> int:
    """How many of the shares, largest first, make nine tenths together; all of them where one would be left."""
    total, count = 0.0, 0
    while total < 0.9 and count < len(shares):
        total, count = total + shares[count], count + 1
    return len(shares) if len(shares) - count == 1 else count


def expected(accuracy: Json) -> str:
    """`67.1 % ± 12.3 points`: the mean of all prompts, and 1.96 standard deviations of one."""
    return f"{percent(accuracy['mean'])} {give_or_take(accuracy['margin95'])} points"


def besides(accuracy: Json, queries: int) -> str:
    """What the fixed queries leave out."""
    other, free = (give_or_take(NORMAL * accuracy[key]) for key in ("query_se", "sd_with_all_queries"))
    return (
        f"All prompts answer the same {queries} queries, and the shares hold for these. Other queries would move one prompt’s accuracy by "
        f"{other} points besides. With endlessly many queries prompts would differ by {free} points instead of "
        f"{give_or_take(accuracy['margin95'])}."
    )


def in_brackets(interval: Any) -> str:
    """` (−1.2 to 20.3)`, or nothing."""
    return f" ({span_points(interval)})" if interval else ""


def search_sentence(formats: Json) -> str:
    """What was found, and what is left of it on other queries."""
    interval = f"(95\u202f% CI {span_points(formats['ci95'])})"
    found = points(formats["spread_where_found"])
    return (
        f"Of {formats['tried']} formats of one template, the best and the worst were {found} points apart on the queries that chose them, "
        f"and {points(formats['spread'])} points {interval} on the others. The first number is too large, since chance helps to be best or "
        "worst; the second is not."
    )


def whole(share: float) -> str:
    """46 %, with a narrow space that does not break."""
    return f"{100 * share:.0f}\u202f%"


def span(interval: Any) -> str:
    """12 to 71 %."""
    return f"{100 * interval[0]:.0f} to {100 * interval[1]:.0f}\u202f%"


def points(share: float) -> str:
    """A share in percentage points, with a real minus sign."""
    text = f"{100 * share:.1f}"
    return "0.0" if text == "-0.0" else text.replace("-", "−")


def give_or_take(share: float) -> str:
    """± 12.3, in points; the line does not break inside."""
    return f"±\u202f{points(share)}"


def span_points(interval: Any) -> str:
    """−1.2 to 20.3."""
    return f"{points(interval[0])} to {points(interval[1])}"


def orders_sentence(calibrations: Json) -> str:
    """The spread over orders of the same demonstrations; empty for one order."""
    found = [(name, of["orders"]) for name, of in calibrations.items() if of["orders"]]
    if not found:
        return ""
    said = [
        f"{points(of['spread'])} points{in_brackets(of['ci95'])} {'uncalibrated' if name == 'none' else f'with {name} calibration'}, "
        f"at most {points(of['largest'])}"
        for name, of in found
    ]
    return (
        f"Between the best and the worst of {found[0][1]['orders']} orders of the same demonstrations lie {'; '.join(said)}. "
        "In brackets: 95\u202f% interval over draws. The spread grows with the number of orders, so compare it at equal numbers."
    )
