"""Accuracy against what adapting costs, step by step: demonstrations and gradient steps on one axis. A view of `traces.json`."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from compare.learners import LEARNERS
from compare.report import charts, looks, step_charts
from compare.report.curves import TOGETHER
from compare.report.facts import Json
from compare.statistics import REFERENCE
from icl.report.charts import Rows
from icl.report.facts import number, scaled
from icl.report.figures import Figure, Table

NOTHING = "zero-shot"
"""The prompt without demonstrations."""
HEAD = ("Learner", "K", "Episodes", "Before", "¼", "½", "All", "Twice")
SAID = 3
"""Most learners of a chart whose number of steps is written beside them."""
SHARES = (0.0, 0.25, 0.5, 1.0, 2.0)
"""Of the trained number of steps: the columns of the table."""


def figures(traces: Json, summary: Json, cost: Json, chance: float) -> list[Figure]:
    """Per K; with many learners the largest K alone, kind by kind. None where no learner takes steps."""
    groups, episodes = traces["steps"], common_episodes(traces)
    if not groups:
        return []
    names = list(dict.fromkeys(of["learner"] for of in groups))
    ks = sorted({of["k_shot"] for of in groups})
    reading = {row["k_shot"]: row["kept_adapt"] for row in cost["in_context_prefix"]}
    prompt = prompt_points(summary, reading, episodes)
    if len(names) <= TOGETHER:
        panels = {(f"K = {k}" if len(ks) > 1 else ""): [of for of in groups if of["k_shot"] == k] for k in ks}
    else:
        last = [of for of in groups if of["k_shot"] == ks[-1]]
        kinds = {kind: [of for of in last if of["learner"] in members] for kind, members in looks.KINDS.items()}
        panels = {f"{kind[0].upper()}{kind[1:]}, K = {ks[-1]}": of for kind, of in kinds.items() if of}
    lines = {title: [p for of in members for p in points(of, episodes, chance, reading)] for title, members in panels.items()}
    every = [{"mean": p["mean"], "low": None, "high": None} for of in lines.values() for p in (*of, *prompt)]
    within = charts.limits(every, chance)
    for of in lines.values():
        few = len({p["learner"] for p in of}) <= SAID
        of[:] = [{**p, "said": few and p["last"]} for p in of]
    return [_figure(i, title, [*prompt, *of], chance, within) for i, (title, of) in enumerate(lines.items())]


def by_step(traces: Json, chance: float) -> list[Figure]:
    """Accuracy against steps at the largest K, over all episodes that a learner was looked at in; many learners kind by kind."""
    groups = largest_k(traces)
    panels: dict[str, Rows] = {}
    for of in groups:
        kind = looks.kind_of(of["learner"]) if len(groups) > TOGETHER else ""
        panels.setdefault(kind, []).extend(points(of, len(of["episodes"]), chance, {}))
    within = charts.limits([{"mean": p["mean"], "low": None, "high": None} for of in panels.values() for p in of], chance)
    out = []
    for i, (kind, of_kind) in enumerate(panels.items()):
        rows = tuple((p["learner"], str(p["step"]), number(p["mean"])) for p in of_kind)
        words = "; ".join(f"{p['learner']} {number(p['mean'])} after {p['what']}" for p in of_kind if p["last"])
        spec = step_charts.by_step(of_kind, chance, within)
        title = f"{kind[0].upper()}{kind[1:]}" if kind else ""
        out.append(
            Figure(f"by-step-{i}", title, f"Accuracy by gradient step: {words}", spec, Table(("Learner", "Steps", "Accuracy"), rows))
        )
    return out


def largest_k(traces: Json) -> list[Json]:
    """The learners that take steps, at the largest K."""
    groups = [of for of in traces["steps"] if of["episodes"]]
    largest = max((of["k_shot"] for of in groups), default=0)
    return [of for of in groups if of["k_shot"] == largest]


def common_episodes(traces: Json) -> int:
    """First episodes in which every learner that takes steps was looked at."""
    return min((len(of["episodes"]) for of in traces["steps"]), default=0)


def prompt_points(summary: Json, reading: Mapping[int, int], episodes: int) -> Rows:
    """The prompt without demonstrations, and with K of them per label, in the same episodes: reading them once is what they cost."""
    out: Rows = []
    for row in summary["rows"]:
        if row["learner"] not in (NOTHING, REFERENCE) or (row["learner"] == NOTHING and out):
            continue  # without demonstrations it is the same at every K
        k = 0 if row["learner"] == NOTHING else row["k_shot"]
        mean = float(np.mean(row["accuracy"]["per_episode"][:episodes]))
        what = "no demonstrations" if not k else f"K = {k}"
        flops = reading.get(k, 0)
        shared = {
            "learner": row["learner"],
            "kind": looks.kind_of(row["learner"]),
            "past": False,
            "last": False,
            "marked": True,
            "said": True,
        }
        out.append({**shared, "what": what, "flops": flops, "mean": mean, "place": k})
    return out


def points(group: Json, episodes: int, chance: float, reading: Mapping[int, int]) -> Rows:
    """Mean over the first episodes after every step that accuracy was read after; an episode without an answer counts as chance."""
    name, trained = group["learner"], group["trained"]
    shown = reading.get(group["k_shot"], 0) if LEARNERS[name].shows_support else 0
    out: Rows = []
    for step, values, flops in read(group, episodes, chance):
        place = {"step": step, "place": step, "past": step > trained, "last": step == trained, "marked": step == trained, "said": False}
        what = f"{step} step{'' if step == 1 else 's'}"
        out.append(
            {"learner": name, "kind": looks.kind_of(name), "what": what, "flops": flops + shown, "mean": float(np.mean(values)), **place}
        )
    return out


def read(group: Json, episodes: int, chance: float) -> list[tuple[int, list[float], float]]:
    """Step, accuracy in each of the first episodes, mean FLOPs so far; steps after which nothing was read are left out."""
    of = group["episodes"][:episodes]
    steps = sorted({step for e in of for step, value in zip(e["step"], e["accuracy"], strict=True) if value is not None})
    flops: dict[int, list[float]] = {}
    known: dict[tuple[str, int], float] = {}
    for e in of:
        for step, spent, value in zip(e["step"], e["flops"], e["accuracy"], strict=True):
            flops.setdefault(step, []).append(spent)
            if value is not None:
                known[e["episode"], step] = value
    return [(s, [known.get((e["episode"], s), chance) for e in of], float(np.mean(flops[s]))) for s in steps]


def table(traces: Json, chance: float) -> Table | None:
    """Accuracy at some of the steps, over all episodes that a learner was looked at in."""
    rows = tuple(_row(group, chance) for group in traces["steps"] if group["episodes"])
    return Table(HEAD, rows) if rows else None


def _row(group: Json, chance: float) -> tuple[str, ...]:
    found = {step: values for step, values, _ in read(group, len(group["episodes"]), chance)}
    cells = []
    for share in SHARES:
        step = math.ceil(share * group["trained"])
        cells.append(f"{number(float(np.mean(found[step])))} at {step}" if step in found else "")
    return (group["learner"], str(group["k_shot"]), str(len(group["episodes"])), *cells)


def _figure(i: int, title: str, every: Rows, chance: float, within: charts.Limits) -> Figure:
    rows = tuple((f"{p['learner']}, {p['what']}", scaled(p["flops"], "FLOP") if p["flops"] else "0", number(p["mean"])) for p in every)
    words = "; ".join(f"{name}: {accuracy}" for (name, _, accuracy), p in zip(rows, every, strict=True) if p["marked"])
    spec = step_charts.against_adapting(every, chance, within)
    label = f"Accuracy against the operations of adapting{f', {title}' if title else ''}: {words}"
    return Figure(f"steps-{i}", title, label, spec, Table(("Adapted by", "FLOP to adapt", "Accuracy"), rows))
