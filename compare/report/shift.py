"""In and out of distribution, side by side: what was meta-trained on, what was held out of it, and other tasks (`--meta-test`)."""

from __future__ import annotations

from collections.abc import Callable

from compare.report.facts import Json
from icl.report.facts import number, p_value, signed
from icl.report.figures import Table

SEEN = "Seen: meta-train episodes"
ELSEWHERE_HEAD = ("Learner", "K", "Task", "Accuracy", "To in-context", "p", "Failed")


def places_table(summary: Json) -> Table | None:
    """A line per learner and K, a column per place; None where there is nothing to set beside the test."""
    elsewhere = {(row["task"], row["learner"], row["k_shot"]): row for row in summary.get("meta_test", ())}
    tasks = list(dict.fromkeys(task for task, _, _ in elsewhere))
    seen = {(row["learner"], row["k_shot"]): _seen(row) for row in summary["rows"]}
    if not tasks and not any(seen.values()):
        return None
    rows = []
    for row in summary["rows"]:
        of_others = [elsewhere[task, row["learner"], row["k_shot"]]["accuracy"] for task in tasks]
        cells = (seen[row["learner"], row["k_shot"]], _with_interval(row["accuracy"]), *map(_with_interval, of_others))
        fall = [signed(sum(a["mean"] for a in of_others) / len(tasks) - row["accuracy"]["mean"])] if tasks else []
        rows.append((row["learner"], str(row["k_shot"]), *cells, *fall))
    own = f"Held out: {summary['rows'][0]['task']}"
    return Table(
        ("Learner", "K", SEEN, own, *(f"Elsewhere: {t}" for t in tasks), *(["Elsewhere − held out"] if tasks else [])), tuple(rows)
    )


def _seen(row: Json) -> str:
    """Known from the probe with permuted labels, which also plays the episodes as they are."""
    found = row.get("permuted_labels")
    return _with_interval(found["train"]["plain"]) if found and found["train"] else ""


def elsewhere_rows(summary: Json) -> tuple[tuple[str, ...], ...]:
    """On other tasks: accuracy, and the paired difference to in-context learning there."""
    out = []
    for row in summary.get("meta_test", ()):
        difference = row["difference_to_in_context"]
        against = (_with_interval(difference, signed), p_value(difference["p_adjusted"])) if difference else ("", "")
        name = (row["learner"], str(row["k_shot"]), row["task"])
        out.append((*name, _with_interval(row["accuracy"]), *against, str(row["failed_episodes"])))
    return tuple(out)


def _with_interval(of: Json, write: Callable[[float], str] = number) -> str:
    interval = of["ci95"]
    return write(of["mean"]) + (f" [{write(interval[0])}, {write(interval[1])}]" if interval else "")
