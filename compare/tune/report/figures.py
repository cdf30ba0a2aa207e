"""The figures of a tuning: history and importance of each search, the front of accuracy against cost, accuracy on the test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from compare.tune.report import charts
from compare.tune.report.facts import Json, setting
from compare.tune.search import FULL
from icl.report.charts import strip
from icl.report.facts import number, percent, scaled
from icl.report.figures import Figure, Table


def history(of: Json, guess: float) -> Figure:
    """Accuracy of every trial, and the best so far."""
    points, steps, best = [], [], 0.0
    for trial in of["trials"]:
        at = trial["number"] + 1
        if trial["episodes"]:
            full = trial["end"] == FULL
            point = {"trial": at, "accuracy": trial["accuracy"], "episodes": trial["episodes"], "full": full}
            points.append({**point, "settings": setting(trial["settings"])})
            best = max(best, trial["accuracy"]) if full else best
        if best:
            steps.append({"trial": at, "accuracy": best})
    rows = tuple((str(p["trial"]), number(p["accuracy"]), str(p["episodes"]), str(p["settings"])) for p in points)
    label = f"Accuracy by trial, {of['method']}: {len(points)} trials played, the best has {number(of['validation_accuracy'])}"
    table = Table(("Trial", "Accuracy", "Episodes", "Setting"), rows)
    return Figure(f"history-{of['method']}", "Accuracy by trial", label, charts.history(points, steps, guess), table)


def importance(of: Json) -> Figure | None:
    """None where there are too few trials, or nothing differed."""
    shares = of["importance"]
    if not shares:
        return None
    rows = [{"name": name, "share": share} for name, share in shares.items()]
    label = f"Importance, {of['method']}: " + ", ".join(f"{name} {percent(share)}" for name, share in shares.items())
    table = Table(("Name", "Share"), tuple((name, percent(share)) for name, share in shares.items()))
    return Figure(f"importance-{of['method']}", "What mattered", label, charts.importance(rows, list(shares)), table)


def pareto(result: Json) -> Figure | None:
    """Every trial that played all episodes; None when none costs anything that can be drawn."""
    methods = [of["method"] for of in result["methods"]]
    points: list[dict[str, Any]] = [
        {
            "method": of["method"],
            "trial": trial["number"] + 1,
            "flops": trial["flops_per_query"],
            "accuracy": trial["accuracy"],
            "settings": setting(trial["settings"]),
        }
        for of in result["methods"]
        for trial in of["trials"]
        if trial["end"] == FULL and trial["flops_per_query"] > 0
    ]
    if not points:
        return None
    for point in points:
        point["front"] = on_front(point, points)
    front = sorted((p for p in points if p["front"]), key=lambda p: p["flops"])
    rows = tuple((p["method"], str(p["trial"]), scaled(p["flops"]), number(p["accuracy"]), p["settings"]) for p in front)
    label = "Accuracy against FLOPs per query; on the front: " + "; ".join(f"{row[0]} {row[3]} for {row[2]}" for row in rows)
    table = Table(("Method", "Trial", "FLOPs per query", "Accuracy", "Setting"), rows)
    return Figure("pareto", "", label, charts.pareto(points, methods, result["chance"]), table)


def on_front(point: Json, points: Sequence[Json]) -> bool:
    """Whether no other is as good in both and better in one."""
    return not any(
        p["accuracy"] >= point["accuracy"]
        and p["flops"] <= point["flops"]
        and (p["accuracy"] > point["accuracy"] or p["flops"] < point["flops"])
        for p in points
    )


def tested(result: Json) -> Figure:
    """Every method's accuracy in every test episode."""
    names, points, means = [], [], []
    for of in result["methods"]:
        name, test = of["method"], of["test"]
        low, high = test["ci95"] or (None, None)
        names.append(name)
        means.append({"group": name, "mean": test["mean"], "low": low, "high": high})
        points += [{"group": name, "episode": f"e{i:03d}", "value": value} for i, value in enumerate(test["per_episode"])]
    columns = zip(*(of["test"]["per_episode"] for of in result["methods"]), strict=True)
    rows = tuple((f"e{i:03d}", *map(number, row)) for i, row in enumerate(columns))
    label = "Test accuracy: " + "; ".join(f"{m['group']} {number(m['mean'])}" for m in means)
    return Figure("tested", "", label, strip(points, means, names, "Accuracy", result["chance"]), Table(("Episode", *names), rows))
