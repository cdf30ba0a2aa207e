"""The words and numbers of a comparison's report. Pure functions of what lies in the run's directory."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from compare.report.rows import Row, written
from compare.settingsfile import SETTINGS
from compare.statistics import REFERENCE
from compare.types import ComparisonSpec
from icl.report.facts import Pairs, percent

LEVEL = 0.05
"""Adjusted p below which two learners are told apart."""

Json = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class TextRow(Row):
    """A learner at one K, as the tables print it."""

    episodes: int
    """How many it played; fewer than there are where the budget was used up."""
    transductive: bool


def table_rows(summary: Json, cost: Json) -> list[TextRow]:
    """In the order of the run: K by K, learner by learner."""
    costs = {(row["learner"], row["k_shot"]): row for row in cost["rows"]}
    return [_row(row, costs[row["learner"], row["k_shot"]]) for row in summary["rows"]]


def _row(row: Json, cost: Json) -> TextRow:
    return TextRow(
        **written(row, row["difference_to_in_context"], cost),
        episodes=row.get("episodes") or len(row["accuracy"]["per_episode"]),  # runs from before do not say
        transductive=row["transductive"],
    )


def lead(summary: Json) -> list[str]:
    """What came out, one sentence per K."""
    out = []
    for k in dict.fromkeys(row["k_shot"] for row in summary["rows"]):
        rows = [row for row in summary["rows"] if row["k_shot"] == k]
        best = max(rows, key=lambda row: row["accuracy"]["mean"])
        reference = next((row for row in rows if row["learner"] == REFERENCE), None)
        shots = f"{k} example{'s' if k > 1 else ''} per label"
        text = f"With {shots}, {best['learner']} is right most often, in {_with_margin(best)} of the queries"
        if reference is not None and reference is not best:
            text += f"; {REFERENCE} in {_with_margin(reference)}"
        out.append(text + ".")
    return out


def _with_margin(row: Json) -> str:
    accuracy = row["accuracy"]
    interval = accuracy["ci95"]
    margin = f" ± {100 * (interval[1] - interval[0]) / 2:.1f}" if interval else ""
    return percent(accuracy["mean"]) + margin


def may_conclude(summary: Json) -> str:
    """Which contrasts are told apart by the adjusted test, in one sentence."""
    tested = [row for row in summary["rows"] if row["difference_to_in_context"]]
    if not tested:
        return f"Without {REFERENCE} among the learners there is no paired contrast here: compare the intervals with care."
    several = len({row["k_shot"] for row in summary["rows"]}) > 1
    found: dict[str, dict[str, list[int]]] = {"better": {}, "worse": {}, "open": {}}
    for row in tested:
        difference = row["difference_to_in_context"]
        p = difference["p_adjusted"]
        kind = "open" if p is None or p >= LEVEL else "better" if difference["mean"] > 0 else "worse"
        found[kind].setdefault(row["learner"], []).append(row["k_shot"])
    names = {kind: [_at(name, ks, several) for name, ks in of.items()] for kind, of in found.items()}
    parts = [f"{_and(names[kind])} {kind} than {REFERENCE}" for kind in ("better", "worse") if names[kind]]
    if not parts:
        parts = [f"no learner is told apart from {REFERENCE}"]
    elif names["open"]:
        parts.append(f"{', '.join(names['open'])} and {REFERENCE} are not told apart")
    contrasts = len(tested) + sum(bool(row["difference_to_in_context"]) for row in summary.get("meta_test", ()))
    test = f"paired t test, Holm-adjusted over {contrasts} contrast{'s' if contrasts > 1 else ''}, 5 % level"
    return f"On these queries, with this model and template ({test}): {'; '.join(parts)}."


def _at(learner: str, ks: Sequence[int], several: bool) -> str:
    """`lora (K = 1, 4)`, the name alone where the report has one K."""
    return f"{learner} (K\u00a0=\u00a0{', '.join(map(str, ks))})" if several else learner


def _and(names: Sequence[str]) -> str:
    """`a is`, `a and b are`."""
    head = ", ".join(names[:-1])
    return f"{head} and {names[-1]} are" if head else f"{names[-1]} is"


def learnt_from(summary: Json) -> list[str]:
    """Where learners met labelled rows besides the support: names of tasks, or how many other classes of this one."""
    classes = summary["budget"].get("classes") or {}
    return [f"{sum(map(len, classes.values()))} other classes"] if classes else list(summary["budget"]["related_tasks"])


def may_not_conclude(summary: Json, n_episodes: int) -> str:
    """The limits of what was done."""
    used = learnt_from(summary)
    told = ""
    if used and {row["learner"] for row in summary["rows"]} - {REFERENCE, "zero-shot"}:
        told = (
            f"All learners but {REFERENCE} and zero-shot used labelled rows of {', '.join(used)}, to choose settings, to scale features "
            "or to meta-train. "
        )
    fewest = min((row.get("episodes", n_episodes) for row in summary["rows"]), default=n_episodes)
    uneven = (
        f"The budget paid for fewer than all {n_episodes} episodes with some learners (as few as {fewest}); their means are over those, "
        f"the difference to {REFERENCE} is on episodes that both played. "
        if fewest < n_episodes
        else ""
    )
    few = f"{n_episodes} episodes are few: an interval that is wide says so. " if n_episodes < 20 else ""
    return (
        f"{told}{uneven}{few}Nothing here speaks for other models, templates, label words or data; “not told apart” does not mean equal, "
        "and seconds are those of one machine."
    )


def failures(summary: Json) -> list[tuple[str, str, str]]:
    """Learner and K, episode, reason."""
    return [(f"{row['learner']}, K = {row['k_shot']}", f["episode"], f["reason"]) for row in summary["rows"] for f in row["failures"]]


def left_out(summary: Json) -> list[tuple[str, str]]:
    """Learners that `all` would have named, and why they cannot run."""
    return list((summary["budget"].get("learners_left_out") or {}).items())


def command_line(spec: Json, *, probes: bool = True) -> str:
    """The command that makes this comparison again, with or without what is measured beside it."""
    words = ["icl", "compare", spec["task"]]
    always = ("learners", "k_shot", "episodes", "queries", "model", "seed")
    for f in fields(ComparisonSpec):
        if f.name == "settings":  # a file of them is kept beside the report
            words += ["--settings", SETTINGS] if spec.get("settings") else []
            continue
        value = spec.get(f.name, f.default)  # runs from before lack some
        if f.name == "task" or (value == f.default and f.name not in always) or value == []:
            continue
        words += [f"--{f.name.replace('_', '-')}", ",".join(map(str, value)) if isinstance(value, list) else str(value)]
    return shlex.join([*words, *([] if probes else ["--no-probes"])])


def models(environment: Json) -> str:
    """The language model, and who makes the features where it does not."""
    of = environment.get("embedder")
    return f"{environment['run']['model']}{', features of ' + of['name'] if of else ''}"


def provenance(resolved: Json, environment: Json, spec_sha256: str) -> Pairs:
    """What the run was made with; what is unknown is left out."""
    model, engine = environment["model"], environment["engine"]
    packages = ", ".join(f"{name} {version}" for name, version in environment["packages"].items() if version)
    pairs = (
        ("Model", f"{model['name']}: {model['description']}"),
        ("Model notes", "; ".join(model["notes"])),
        ("Model fingerprint", resolved["model_fingerprint"]),
        *(
            [("Features", f"vectors of the sentence model {of['name']}, fingerprint {of['fingerprint']}")]
            if (of := environment.get("embedder"))
            else []
        ),
        *((f"Data of {d['task']}", f"{d['source']} ({d['licence']}), fingerprint {d['fingerprint'][:16]}") for d in environment["data"]),
        ("Templates", "; ".join(f"{task}: {t['name']} {t['sha256'][:16]}" for task, t in environment["templates"].items())),
        ("Episodes sha256", resolved["episodes_sha256"]),
        ("Spec sha256", spec_sha256),
        ("Device", f"{environment['device']} ({environment['device_name']})"),
        (
            "Precision",
            f"{environment['dtype']} for the language model in every method; heads in float64, trained weights with float32 masters",
        ),
        ("Engine", f"{engine['back_end']}, {engine['path']}"),
        ("Engine notes", "; ".join(engine["notes"])),
        ("Platform", f"{environment['platform']}, Python {environment['python']}"),
        ("Packages", packages),
        ("Git revision", environment.get("git_revision") or ""),
    )
    return tuple((name, str(value)) for name, value in pairs if value)
