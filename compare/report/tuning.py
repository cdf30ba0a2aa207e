"""What was tuned, on what, and what it found: the search of hyper-parameters as a report tells it."""

from __future__ import annotations

from compare.report.facts import Json, learnt_from
from compare.report.rows import short_seconds
from icl.report.facts import Pairs, number, scaled
from icl.report.figures import Table


def search_rows(summary: Json, cost: Json) -> tuple[tuple[str, ...], ...]:
    """Learner, K, configurations, meta-validation episodes, chosen settings, its accuracy there, seconds of the search."""
    costs = {(row["learner"], row["k_shot"]): row["search"]["seconds"] for row in cost["rows"]}
    out = []
    for row in summary["rows"]:
        settings = ", ".join(f"{name} {value}" for name, value in row["settings"].items())
        best = next((t["accuracy"] for t in row["searched"] if t["settings"] == row["settings"]), None)
        tried = str(len(row["searched"])) if row["searched"] else "given" if row.get("settings_given") else "none tried"
        seconds = short_seconds(costs[row["learner"], row["k_shot"]]) if row["searched"] else ""
        accuracy = "" if best is None else number(best)
        out.append((row["learner"], str(row["k_shot"]), tried, str(row["search_episodes"]), settings, accuracy, seconds))
    return tuple(out)


def budget_pairs(summary: Json) -> Pairs:
    """What meta-training and the search could use."""
    budget = summary["budget"]

    def rows_of(found: Json) -> str:
        return "; ".join(f"{task}: " + ", ".join(f"{n} {label}" for label, n in of.items()) for task, of in found.items())

    def per_k(found: Json) -> str:
        return ", ".join(f"{n} (K = {k})" for k, n in found.items())

    pairs = (
        ("Learnt from", ", ".join(learnt_from(summary)) or "no other tasks: every learner uses its first configuration"),
        ("Meta-train rows", rows_of(budget["meta_train_rows_per_label"])),
        ("Meta-validation rows", rows_of(budget["meta_validation_rows_per_label"])),
        ("Meta-train episodes", per_k(budget["meta_train_episodes"])),
        ("Meta-validation episodes", per_k(budget["meta_validation_episodes"])),
        ("Search", f"{scaled(budget['search_flops'], 'FLOP')} of playing for each learner and K, and one episode at least"),
        ("Outer steps", str(budget["meta_steps"])),
        ("Meta-trained before", budget.get("meta_trained", "")),
        ("Outer steps on the model itself", _bought(budget.get("meta_steps_bought") or {})),
        ("Left out", "; ".join(budget["left_out"])),
        ("Rows with a text of the task", f"{budget['texts_shared_with_the_task']:,} left out of the other tasks"),
    )
    return tuple((name, value) for name, value in pairs if value)


def _bought(found: Json) -> str:
    """`fomaml 31 (K = 4); what 10 TFLOP buy, by the cost of the first step`."""
    if not found:
        return ""
    of = "; ".join(f"{name} " + ", ".join(f"{n} (K = {k})" for k, n in steps.items()) for name, steps in found["steps"].items())
    return f"{of}: what {scaled(found['flops'], 'FLOP')} buy by the cost of the first step, at most as many as above"


def steps_table(summary: Json) -> Table | None:
    """Accuracy on meta-validation episodes by gradient steps, with the best of the other settings; None where no search varied them."""
    found = [(row, best) for row in summary["rows"] if len(best := _by_steps(row)) > 1]
    columns = sorted({steps for _, best in found for steps in best})
    rows = tuple(
        (row["learner"], str(row["k_shot"]), *(number(best[n]) if n in best else "" for n in columns), str(row["search_episodes"]))
        for row, best in found
    )
    return Table(("Learner", "K", *(f"{n} steps" for n in columns), "Episodes"), rows) if rows else None


def _by_steps(row: Json) -> dict[int, float]:
    best: dict[int, float] = {}
    for tried in row["searched"]:
        if (steps := tried["settings"].get("steps")) is not None:
            best[steps] = max(best.get(steps, 0.0), tried["accuracy"])
    return best
