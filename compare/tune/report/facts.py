"""The words and numbers of a tuning's report, which the page, Markdown and the terminal share. Pure functions of `tune.json`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from compare.tune.search import CUT, FAILED, FULL, PRUNED
from compare.tune.tuned import LEARNERS, PROMPT
from compare.tune.types import IN_CONTEXT
from icl.report.facts import Pairs, number, p_value, percent, scaled, signed, span
from icl.report.figures import Table

Json = Mapping[str, Any]
METHOD_HEAD = (
    "Method",
    "Test accuracy",
    "95 % interval",
    "To the first",
    "95 % interval",
    "Adjusted p",
    "Validation",
    "Usual setting there",
)
SEARCH_HEAD = ("Method", "Trials", "All episodes", "Given up", "Cut off", "Failed", "Episodes", "Spent", "Ended by", "FLOPs per query")
TRIAL_HEAD = ("Trial", "Accuracy", "Episodes", "FLOPs per query", "Charged", "End", "Setting")
MOST_TRIALS = 12
"""Rows of a table of trials; all of them are in tune.json."""
LEVEL = 0.05


def setting(settings: Json) -> str:
    """`rank 8, lr 0.001`."""
    return ", ".join(f"{name} {value(of)}" for name, of in settings.items())


def value(of: Any) -> str:
    """One value of a setting."""
    if isinstance(of, bool):
        return "yes" if of else "no"
    return f"{of:.3g}" if isinstance(of, float) else str(of)


def method_rows(result: Json) -> tuple[tuple[str, ...], ...]:
    """Method, test accuracy and difference to the first method with intervals, validation accuracies."""
    differences = {of["method"]: of for of in result["differences"]}
    rows = []
    for of in result["methods"]:
        d = differences.get(of["method"])
        usual = of["usual_accuracy"]
        rows.append(
            (
                of["method"] + ("*" if of["transductive"] else ""),
                number(of["test"]["mean"]),
                span(of["test"]["ci95"]),
                signed(d["mean"]) if d else "",
                span(d["ci95"], signed) if d else "",
                p_value(d["p_adjusted"]) if d else "",
                number(of["validation_accuracy"]),
                "not played" if usual is None else number(usual),
            )
        )
    return tuple(rows)


def search_rows(result: Json) -> tuple[tuple[str, ...], ...]:
    """What each search did, and what it spent of the same budget."""
    rows = []
    for of in result["methods"]:
        counts, spent = of["counts"], of["spent"]
        ends = (str(counts[end]) for end in (FULL, PRUNED, CUT, FAILED))
        flops = scaled(spent["flops"], "FLOP")
        per_query = scaled(of["flops_per_query"])
        rows.append((of["method"], str(counts["trials"]), *ends, str(spent["episodes"]), flops, of["ended_by"], per_query))
    return tuple(rows)


def trial_table(of: Json) -> Table:
    """The best trials of a method, those with all episodes first."""
    played = [trial for trial in of["trials"] if trial["episodes"]]
    best = sorted(played, key=lambda t: (t["end"] != FULL, -t["accuracy"], t["nll"], t["number"]))[:MOST_TRIALS]
    rows = tuple(
        (
            f"{t['number'] + 1}{' (chosen)' if t['number'] == of['best_trial'] else ''}",
            number(t["accuracy"]),
            str(t["episodes"]),
            scaled(t["flops_per_query"]),
            scaled(t["charged_flops"]),
            t["end"] + (f", {t['failed_episodes']} failed" if t["failed_episodes"] else ""),
            setting(t["settings"]),
        )
        for t in best
    )
    return Table(TRIAL_HEAD, rows)


def failures(of: Json) -> list[tuple[str, str]]:
    """Setting, reason; equal reasons once. Of settings that could not be played, and of single episodes that count as chance."""
    found: dict[str, str] = {}
    for trial in of["trials"]:
        for reason in (trial["reason"], trial.get("failed_because", "")):  # older tunings do not have the second
            if reason:
                found.setdefault(reason, f"trial {trial['number'] + 1}, {setting(trial['settings'])}")
    return [(where, reason) for reason, where in found.items()]


def budget(result: Json) -> str:
    """`20.0 TFLOP` or `60 episodes`."""
    amount, unit = result["budget"]["amount"], result["budget"]["unit"]
    return scaled(amount, "FLOP") if unit == "FLOP" else f"{amount:,.0f} episodes"


def verdict(result: Json) -> str:
    """What the test tells apart, in one sentence; empty for one method."""
    if not result["differences"]:
        return ""
    apart = [d for d in result["differences"] if d["p_adjusted"] is not None and d["p_adjusted"] < LEVEL]
    reference = result["differences"][0]["reference"]
    if not apart:
        return f"On the test episodes no method can be told apart from {reference} (paired t test, Holm over all contrasts)."
    said = "; ".join(
        f"{d['method']} is {percent(abs(d['mean']))} points {'above' if d['mean'] > 0 else 'below'} {reference}" for d in apart
    )
    return f"Told apart on the test episodes: {said} (paired t test, Holm over all contrasts)."


def gain(of: Json) -> str:
    """What the search found over the usual setting, on validation."""
    usual = of["usual_accuracy"]
    if usual is None:
        return "The usual setting could not be played."
    if of["best_trial"] == 0:
        return "Nothing that was tried beat the usual setting on the validation episodes."
    if of["validation_accuracy"] == usual:
        return (
            "The chosen setting is as accurate as the usual one on the validation episodes, and was taken for its likelihood or its cost."
        )
    better = signed(of["validation_accuracy"] - usual)
    return (
        f"On the validation episodes it is {better} to the usual setting; the best of many is partly the luckiest: expect less elsewhere."
    )


def commands(result: Json, directory: str) -> list[str]:
    """What takes the tuned files up."""
    methods = [of["method"] for of in result["methods"]]
    found = [shlex.join(["icl", "evaluate", "--spec", f"{directory}/{PROMPT}"])] if IN_CONTEXT in methods else []
    if learners := [name for name in methods if name != IN_CONTEXT]:
        words = ["icl", "compare", result["task"], "--learners", ",".join(learners), "--k-shot", str(result["k_shot"])]
        found.append(shlex.join([*words, "--settings", f"{directory}/{LEARNERS}"]))
    return found


def how(result: Json) -> Pairs:
    """How the search went about."""
    validation, test = result["validation"], result["test"]
    shots = "the whole demonstration split" if result["k_shot"] is None else f"{result['k_shot']} examples per label"
    return (
        ("Model", result["model"]),
        ("Learnt from", shots),
        ("Searched on", f"{validation['episodes']} episodes x {validation['queries']} queries of the validation split"),
        ("Tested on", f"{test['episodes']} episodes x {test['queries']} queries of the test split, once"),
        ("Sampler", result["sampler"]),
        ("Pruner", result["pruner"]),
        ("Budget of each method", f"{budget(result)}, and {result['trials_at_most']} trials at most"),
        ("Seed", str(result["seed"])),
        ("Spec sha256", result["spec_sha256"]),
    )
