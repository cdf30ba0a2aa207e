"""What goes with failing: overlap of classes for metric learners, damaged demonstrations for the prompt. Views of `traces.json`."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from compare.report import looks, step_charts
from compare.report.facts import Json
from compare.statistics import REFERENCE
from icl.intervals import paired_difference, t_interval
from icl.report import charts
from icl.report.facts import number, signed, span
from icl.report.figures import Figure, Table

METRIC = ("protonet", "matching-net", "matching-net-fce")
UNDAMAGED = "as it is"
DAMAGE_HEAD = ("Demonstrations", "The first of them", "Wrong", "Accuracy", "Difference", "95 % interval")
SHOWN = 90
"""Most characters of a demonstration in the table."""


def overlap_figures(traces: Json, summary: Json, chance: float) -> list[Figure]:
    """Per K: accuracy of metric learners in every episode against the silhouette of its classes."""
    several = len(traces["overlap"]) > 1
    out = []
    for of in traces["overlap"]:
        k, of_episode = of["k_shot"], {e["episode"]: e for e in of["episodes"]}
        rows = [row for row in summary["rows"] if row["learner"] in METRIC and row["k_shot"] == k]
        points = [
            {
                "learner": row["learner"],
                "kind": looks.kind_of(row["learner"]),
                "episode": e,
                "silhouette": found["silhouette"],
                "accuracy": accuracy,
            }
            for row in rows
            for (e, found), accuracy in zip(of_episode.items(), row["accuracy"]["per_episode"], strict=False)
            if found["silhouette"] is not None
        ]
        if points:
            out.append(_overlap_figure(k, several, points, of_episode, rows, chance))
    return out


def _overlap_figure(k: int, several: bool, points: charts.Rows, of_episode: dict[str, Json], rows: Sequence[Json], chance: float) -> Figure:
    names = [row["learner"] for row in rows]
    numbers = tuple(
        (
            e,
            *(_number(found[n]) for n in ("silhouette", "fisher", "nearer_to_wrong")),
            *(number(r["accuracy"]["per_episode"][i]) if i < len(r["accuracy"]["per_episode"]) else "" for r in rows),
        )
        for i, (e, found) in enumerate(of_episode.items())
    )
    head = ("Episode", "Silhouette", "Fisher's ratio", "Nearer to a wrong class", *names)
    ends = [number(end(p["silhouette"] for p in points)) for end in (min, max)]
    label = f"Accuracy of {' and '.join(names)} against overlap of the classes, K = {k}: silhouettes from {ends[0]} to {ends[1]}"
    return Figure(f"overlap-{k}", f"K = {k}" if several else "", label, step_charts.against_overlap(points, chance), Table(head, numbers))


def _number(value: float | None) -> str:
    return "" if value is None else number(value)


def damage_figures(traces: Json, chance: float) -> list[Figure]:
    """In-context accuracy in the same episodes, as it is and after each damage."""
    kinds = _damaged(traces, chance)
    if not kinds:
        return []
    episodes = [e["episode"] for e in traces["damage"][0]["episodes"]]
    points = [{"group": name, "episode": e, "value": v} for name, of in kinds.items() for e, v in zip(episodes, of, strict=True)]
    means = []
    for name, of in kinds.items():
        low, high = t_interval(of) or (None, None)
        means.append({"group": name, "mean": float(np.mean(of)), "low": low, "high": high})
    spec = charts.strip(points, means, list(kinds), "Accuracy", chance)
    for layer in spec["layer"]:  # it is one learner: in its own colour
        if "color" in layer["encoding"]:
            layer["encoding"]["color"] = {"datum": REFERENCE, "type": "nominal", "scale": {"domain": list(looks.ORDER)}, "legend": None}
    rows = tuple((e, *(number(of[i]) for of in kinds.values())) for i, e in enumerate(episodes))
    label = "In-context accuracy: " + "; ".join(f"{name} {number(float(np.mean(of)))}" for name, of in kinds.items())
    return [Figure("damage", "", label, spec, Table(("Episode", *kinds), rows))]


def damage_table(traces: Json, chance: float) -> Table | None:
    """What was done, how the first demonstration looks then, and what it costs."""
    kinds = _damaged(traces, chance)
    if not kinds:
        return None
    rows = []
    for of in traces["damage"]:
        values = kinds[of["name"]]
        paired = paired_difference(values, kinds[UNDAMAGED])
        wrong = ", ".join(str(e["wrong_answers"]) for e in of["episodes"]) if any(e["wrong_answers"] for e in of["episodes"]) else "none"
        shown = json.dumps(of["episodes"][0]["shown"], ensure_ascii=False)
        cut = shown if len(shown) <= SHOWN else f"{shown[: SHOWN // 2]} … {shown[-SHOWN // 2 :]}"
        mean = number(float(np.mean(values)))
        rows.append((of["name"], cut, wrong, mean, signed(paired.mean), span(paired.ci95, signed)))
    return Table(DAMAGE_HEAD, tuple(rows))


def _damaged(traces: Json, chance: float) -> dict[str, list[float]]:
    """Accuracy per episode, undamaged first; an episode that failed counts as chance."""
    of = [kind for kind in traces["damage"] if kind["episodes"]]
    if not of:
        return {}
    found = {kind["name"]: [chance if e["accuracy"] is None else e["accuracy"] for e in kind["episodes"]] for kind in of}
    return {UNDAMAGED: [e["undamaged"] for e in of[0]["episodes"]], **found}
