"""Table, chart and numbers of the studies that compare learners. Pure functions of their lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from comparisons import CALIBRATED, ON_SENTENCES, Line, Pair, against_in_context, line_json
from drawing import svg

from compare.report.looks import KINDS, ORDER
from icl.intervals import t_interval
from icl.runs import write_json
from tasks import IclError

BEGIN, END = "<!-- tables -->", "<!-- end of tables -->"
_PROMPTS = ORDER.index("in-context") + 1
SHOWN = (*ORDER[:_PROMPTS], CALIBRATED, *(name + on for name in ORDER[_PROMPTS:] for on in ("", ON_SENTENCES)))
"""Learners in the order of a table."""
TOLD = 0.05
"""Adjusted p below which a difference is bold."""

Pairs = Mapping[tuple[str, int, str], Pair]


def half(values: Sequence[float]) -> float:
    """Half of the 95 % interval over episodes, Student's t."""
    low, high = t_interval(values) or (float("nan"), float("nan"))
    return (high - low) / 2


def mean(values: Sequence[float]) -> float:
    """Of at least one value."""
    return sum(values) / len(values)


def in_order(lines: Sequence[Line]) -> list[Line]:
    """By K, then as tables list learners."""
    return sorted(lines, key=lambda line: (line.k_shot, SHOWN.index(line.learner)))


def difference(pair: Pair | None) -> str:
    """`+0.050 ± 0.020 (10)`: mean, half an interval, shared episodes; bold where it is told apart from nothing."""
    if pair is None:
        return ""
    found = pair.contrast.difference
    said = f"{found.mean:+.3f} ± {half(found.per_episode):.3f}"
    told = pair.contrast.p_adjusted is not None and pair.contrast.p_adjusted < TOLD
    return f"{f'**{said}**' if told else said} ({pair.episodes})"


def amount(value: float) -> str:
    """Three digits at most: 0.004, 1.3, 128."""
    if value == 0:
        return "0"
    return f"{value:.1g}" if value < 0.1 else f"{value:.2g}" if value < 10 else f"{value:,.0f}"


def table(task: str, lines: Sequence[Line], pairs: Pairs) -> str:
    """Markdown: a line per K and learner of one task."""
    head = ["K", "learner", "episodes", "accuracy", "− in-context (shared)", "adapt, s", "GFLOP", "query, ms", "GFLOP", "once, s"]
    out = [f"### {task}", "", f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for line in in_order(lines):
        failed = f" ({line.failed} failed)" if line.failed else ""
        once = line.seconds["meta_train"] + line.search_seconds
        cells = [
            str(line.k_shot),
            line.learner,
            f"{len(line.accuracies)}{failed}",
            f"{mean(line.accuracies):.3f} ± {half(line.accuracies):.3f}",
            difference(pairs.get(line.key)),
            amount(line.seconds["adapt"]),
            amount(line.flops["adapt"] / 1e9),
            amount(1000 * line.seconds["per_query"]),
            amount(line.flops["per_query"] / 1e9),
            amount(once) if once >= 0.05 else "0",
        ]
        out.append(f"| {' | '.join(cells)} |")
    return "\n".join(out)


def kind(learner: str) -> str:
    """As reports of comparisons group learners."""
    return next((kind for kind, names in KINDS.items() if learner.removesuffix(ON_SENTENCES) in names), "prompt")


def chart(lines: Sequence[Line], tasks: Sequence[str]) -> str:
    """SVG: accuracy with its interval per learner, a column per task, a row per K."""
    import altair as alt

    rows = []
    for line in lines:
        centre, around = mean(line.accuracies), half(line.accuracies)
        ends = {"low": max(0.0, centre - around), "high": min(1.0, centre + around)}
        place = {"task": line.task, "K": f"K = {line.k_shot}", "learner": line.learner, "kind": kind(line.learner)}
        rows.append({**place, "accuracy": centre, **ends})
    base = alt.Chart(alt.Data(values=rows)).encode(
        y=alt.Y("learner:N", sort=list(SHOWN), title=None, axis=alt.Axis(minExtent=160)),
        color=alt.Color("kind:N", sort=list(KINDS), title=None, legend=alt.Legend(orient="bottom")),
    )
    scale = alt.Scale(zero=False)
    points = base.mark_point(filled=True, size=50).encode(x=alt.X("accuracy:Q", scale=scale, title="accuracy, 95 % interval over episodes"))
    bars = base.mark_rule(strokeWidth=1.5).encode(x=alt.X("low:Q", scale=scale, title=""), x2="high:Q")
    ks = [f"K = {k}" for k in sorted({line.k_shot for line in lines})]
    above = alt.Header(labelAngle=0, labelOrient="top", labelAnchor="start")  # beside the names of learners there is no room
    facets = (bars + points).properties(width=230, height=190).facet(
        column=alt.Column("task:N", sort=list(tasks), title=None), row=alt.Row("K:N", sort=ks, title=None, header=above)
    )  # fmt: skip
    return svg(facets)


def report(lines: Sequence[Line], name: str, docs: Path | None) -> None:
    """Prints the tables; with `docs` also writes `name`.svg, `name`.json and the tables into `name`.md."""
    pairs = against_in_context(lines)
    tasks = list(dict.fromkeys(line.task for line in lines))
    text = "\n\n".join(table(task, [line for line in lines if line.task == task], pairs) for task in tasks)
    print(text)
    if docs is None:
        return
    docs.mkdir(parents=True, exist_ok=True)
    (docs / f"{name}.svg").write_text(chart(lines, tasks), encoding="utf-8")
    write_json(docs / f"{name}.json", rounded({"lines": [line_json(line, pairs.get(line.key)) for line in lines]}))
    put(docs / f"{name}.md", text)


def put(path: Path, text: str) -> None:
    """Replaces what stands between the two marks. Raises IclError for a document without them."""
    if not path.is_file():
        raise IclError(f"{path} must be there, with the lines {BEGIN} and {END}")
    before, begin, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise IclError(f"{path} must have the lines {BEGIN} and {END}")
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def rounded(values: Any, digits: int = 6) -> Any:
    """Floats of nested plain values, to so many significant digits."""
    if isinstance(values, float):
        return float(f"{values:.{digits}g}")
    if isinstance(values, dict):
        return {name: rounded(value, digits) for name, value in values.items()}
    return [rounded(value, digits) for value in values] if isinstance(values, list | tuple) else values
