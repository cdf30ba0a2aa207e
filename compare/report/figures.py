"""The charts of a comparison: accuracy by learner, and paired differences to in-context learning; one of each per K."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from compare.report import looks
from compare.report.facts import Json
from icl.report import charts
from icl.report.facts import number, signed
from icl.report.figures import Figure, Table


def accuracy_figures(summary: Json, episodes: Sequence[str], chance: float) -> list[Figure]:
    """Per K: each episode a circle, the mean with its interval."""
    out = []
    for k, rows in by_k(summary).items():
        values = {row["learner"]: row["accuracy"] for row in rows}
        spec = _strip(values, episodes, "Accuracy", chance)
        label = f"Accuracy with K = {k}: " + "; ".join(f"{name} {number(of['mean'])}" for name, of in values.items())
        out.append(Figure(f"accuracy-{k}", k_title(summary, k), label, spec, _numbers(values, episodes, number)))
    return out


def difference_figures(summary: Json, episodes: Sequence[str]) -> list[Figure]:
    """Per K: accuracy minus that of in-context learning in the same episode. Empty without in-context learning."""
    out = []
    for k, rows in by_k(summary).items():
        values = {row["learner"]: row["difference_to_in_context"] for row in rows if row["difference_to_in_context"]}
        if not values:
            continue
        spec = _strip(values, episodes, "Accuracy minus that of in-context", None, (-1.0, 1.0))
        zero = {"x": {"field": "zero", "type": "quantitative"}}
        spec["layer"].insert(0, {"data": {"values": [{"zero": 0}]}, "mark": {"type": "rule", "style": "reference"}, "encoding": zero})
        label = f"Difference to in-context with K = {k}: " + "; ".join(f"{name} {signed(of['mean'])}" for name, of in values.items())
        out.append(Figure(f"difference-{k}", k_title(summary, k), label, spec, _numbers(values, episodes, signed)))
    return out


def by_k(summary: Json) -> dict[int, list[Json]]:
    """K → its rows, in the order of the run."""
    out: dict[int, list[Json]] = {}
    for row in summary["rows"]:
        out.setdefault(row["k_shot"], []).append(row)
    return out


def k_title(summary: Json, k: int) -> str:
    """Empty where there is only one K."""
    return f"K = {k}" if len(by_k(summary)) > 1 else ""


def _strip(
    values: dict[str, Json],
    episodes: Sequence[str],
    title: str,
    guess: float | None,
    limits: tuple[float, float] = (0.0, 1.0),
) -> dict[str, Any]:
    points, means = [], []
    for name, of in values.items():
        low, high = of["ci95"] or (None, None)
        means.append({"group": name, "mean": of["mean"], "low": low, "high": high})
        points += [{"group": name, "episode": e, "value": v} for e, v in zip(episodes, of["per_episode"], strict=False)]
    spec = charts.strip(points, means, list(values), title, guess, limits)
    for layer in spec["layer"]:  # a learner has one colour on the whole page, whichever learners a chart shows
        if "color" in layer["encoding"]:
            layer["encoding"]["color"]["scale"]["domain"] = list(looks.ORDER)
    return spec


def _numbers(values: dict[str, Json], episodes: Sequence[str], write: Any) -> Table:
    rows = [
        (episode, *(write(of["per_episode"][i]) if i < len(of["per_episode"]) else "" for of in values.values()))
        for i, episode in enumerate(episodes)
    ]
    return Table(("Episode", *values), (*rows, ("mean", *(write(of["mean"]) for of in values.values()))))
