"""Loss and size of the gradient from step to step of adapting, and where they explode. A view of `traces.json`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from compare.report import looks, step_charts
from compare.report.curves import TOGETHER
from compare.report.facts import Json
from compare.report.steps import largest_k
from icl.report.charts import Rows
from icl.report.figures import Figure, Table

QUANTITIES = {"loss": "Loss", "gradient_norm": "Gradient norm"}
HEAD = ("Learner", "K", "Episodes", "Loss before", "Loss at the last step", "Gradient norm before", "Largest gradient norm", "Not finite")


def figures(traces: Json) -> list[Figure]:
    """Loss, then gradient norm, at the largest K; with many learners kind by kind."""
    groups = largest_k(traces)
    panels = {"": groups}
    if len(groups) > TOGETHER:
        panels = {kind: [of for of in groups if of["learner"] in members] for kind, members in looks.KINDS.items()}
    return [_figure(quantity, kind, of) for kind, of in panels.items() if of for quantity in QUANTITIES]


def _figure(quantity: str, kind: str, groups: Sequence[Json]) -> Figure:
    points = [p for of in groups for p in _points(of, quantity)]
    broken = [
        {"learner": of["learner"], "kind": looks.kind_of(of["learner"]), "step": e["broken_at"], "what": f"not finite in {e['episode']}"}
        for of in groups
        for e in of["episodes"]
        if e["broken_at"] is not None
    ]
    name = QUANTITIES[quantity]
    rows = tuple((f"{p['learner']}, {p['step']}", *(short(p[n]) for n in ("middle", "low", "high"))) for p in points)
    ends = [(of["learner"], own[0], own[-1]) for of in groups if (own := [p for p in points if p["learner"] == of["learner"]])]
    words = "; ".join(f"{learner} from {short(first['middle'])} to {short(last['middle'])}" for learner, first, last in ends)
    exploded = f"; not finite in {len(broken)} episode{'s' if len(broken) > 1 else ''}" if broken else ""
    label = f"{name} against steps of adapting: {words}{exploded}"
    numbers = Table(("Learner, steps taken", "Median", "Least", "Greatest"), rows)
    title = f"{name}, {kind}" if kind else name
    return Figure(f"inner-{quantity}-{_slug(kind)}", title, label, step_charts.along_steps(points, broken, name.lower()), numbers)


def _points(group: Json, quantity: str) -> Rows:
    """Over episodes; what is not positive has no place on a logarithmic axis."""
    values: dict[int, list[float]] = {}
    for e in group["episodes"]:
        for step, value in zip(e["step"], e[quantity], strict=True):
            if value is not None and value > 0:
                values.setdefault(step, []).append(value)
    names = {"learner": group["learner"], "kind": looks.kind_of(group["learner"])}
    return [{**names, "step": step, "middle": float(np.median(of)), "low": min(of), "high": max(of)} for step, of in sorted(values.items())]


def table(traces: Json) -> Table | None:
    """Every learner that takes steps, at every K."""
    rows = tuple(_row(of) for of in traces["steps"] if of["episodes"])
    return Table(HEAD, rows) if rows else None


def _row(group: Json) -> tuple[str, ...]:
    episodes = group["episodes"]
    sizes = [
        (value, e["episode"], step)
        for e in episodes
        for step, value in zip(e["step"], e["gradient_norm"], strict=True)
        if value is not None
    ]
    largest = max(sizes, default=None)
    broken = [f"{e['episode']} at {e['broken_at']}" for e in episodes if e["broken_at"] is not None]
    return (
        group["learner"],
        str(group["k_shot"]),
        str(len(episodes)),
        _median(e["loss"][:1] for e in episodes),
        _median([v for v in e["loss"][: group["trained"] + 1] if v is not None][-1:] for e in episodes),
        _median(e["gradient_norm"][:1] for e in episodes),
        f"{short(largest[0])} ({largest[1]} at {largest[2]})" if largest else "",
        ", ".join(broken[:3]) + (f" and {len(broken) - 3} more" if len(broken) > 3 else "") or "none",
    )


def _median(of: object) -> str:
    values = [v for part in of for v in part if v is not None]  # type: ignore[attr-defined]
    return short(float(np.median(values))) if values else ""


def short(value: float) -> str:
    """Three digits: 0.693, 12.4, 3.1e-05."""
    return f"{value:.3g}"


def _slug(kind: str) -> str:
    return kind.replace(" ", "-").replace("'", "") or "all"
