"""In and out of distribution, side by side: what was meta-trained on, what was held out of it, and other tasks (`--meta-test`)."""

from __future__ import annotations

from compare.report.course import with_margin
from compare.report.facts import Json
from icl.report.facts import p_value, signed
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
        cells = (seen[row["learner"], row["k_shot"]], with_margin(row["accuracy"]), *map(with_margin, of_others))
        fall = [signed(sum(a["mean"] for a in of_others) / len(tasks) - row["accuracy"]["mean"])] if tasks else []
        rows.append((row["learner"], str(row["k_shot"]), *cells, *fall))
    own = f"Held out: {summary['rows'][0]['task']}"
    return Table(
        ("Learner", "K", SEEN, own, *(f"Elsewhere: {t}" for t in tasks), *(["Elsewhere − held out"] if tasks else [])), tuple(rows)
    )


def _seen(row: Json) -> str:
    """Known from the probe with permuted labels, which also plays the episodes as they are."""
    found = row.get("permuted_labels")
    return with_margin(found["train"]["plain"]) if found and found["train"] else ""


def elsewhere_rows(summary: Json) -> tuple[tuple[str, ...], ...]:
    """On other tasks: accuracy, and the paired difference to in-context learning there."""
    out = []
    for row in summary.get("meta_test", ()):
        difference = row["difference_to_in_context"]
        against = (with_margin(difference, signed), p_value(difference["p_adjusted"])) if difference else ("", "")
        name = (row["learner"], str(row["k_shot"]), row["task"])
        out.append((*name, with_margin(row["accuracy"]), *against, str(row["failed_episodes"])))
    return tuple(out)
