"""The words and numbers of a comparison on images. Pure functions of what lies in the run's directory."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from compare.images.spec import META_DATASET, ImageSpec
from compare.report.rows import Row, written
from icl.report.facts import Pairs, percent

Json = Mapping[str, Any]
ALWAYS = ("learners", "n_way", "k_shot", "meta_steps", "norm", "seed")
NORMS = {
    "batch": "batch norm with the statistics of the images at hand: transductive, a prediction depends on the other queries",
    "layer": "layer norm, image by image: no prediction depends on other queries",
}


TOLD = 0.05
"""Adjusted p below which two learners are told apart."""


@dataclass(frozen=True, kw_only=True)
class ImageRow(Row):
    """A learner at one K on one source."""

    source: str
    rank: str
    settings: str


def table_rows(summary: Json, cost: Json) -> list[ImageRow]:
    """In the order of the run."""
    costs = {_cell(row): row for row in cost["rows"]}
    places = {of["k_shot"]: of["by_source"] for of in summary["ranks"]}
    return [_row(row, costs[_cell(row)], places[row["k_shot"]][row["source"]][row["learner"]]) for row in summary["rows"]]


def _cell(row: Json) -> tuple[str, int, str]:
    return row["learner"], row["k_shot"], row["source"]


def _row(row: Json, cost: Json, rank: float) -> ImageRow:
    return ImageRow(
        **written(row, row["difference"], cost),
        source=row["source"],
        rank=f"{rank:g}",
        settings=", ".join(f"{name} {value:g}" for name, value in row["settings"].items()),
    )


def lead(summary: Json) -> list[str]:
    """What came out: one sentence per K and source."""
    out = []
    for k, source in dict.fromkeys((row["k_shot"], row["source"]) for row in summary["rows"]):
        rows = [row for row in summary["rows"] if (row["k_shot"], row["source"]) == (k, source)]
        best = max(rows, key=lambda row: row["accuracy"]["mean"])
        interval = best["accuracy"]["ci95"]
        margin = f" ± {100 * (interval[1] - interval[0]) / 2:.1f}" if interval else ""
        share = f"{percent(best['accuracy']['mean'])}{margin}"
        out.append(f"{source}, {k}-shot: {best['learner']} is right most often, in {share} of the queries.")
    return out


def conclusions(summary: Json, task: str) -> list[str]:
    """What may be said of every source and K after Holm's adjustment: one sentence each."""
    out = []
    for k, source in dict.fromkeys((row["k_shot"], row["source"]) for row in summary["rows"]):
        rows = [row for row in summary["rows"] if (row["k_shot"], row["source"]) == (k, source) and row["difference"]]
        told = [row for row in rows if row["difference"]["p_adjusted"] is not None and row["difference"]["p_adjusted"] < TOLD]
        better = [row["learner"] for row in told if row["difference"]["mean"] > 0]
        worse = [row["learner"] for row in told if row["difference"]["mean"] < 0]
        rest = [row["learner"] for row in rows if row not in told]
        groups = {"better than": better, "worse than": worse, "not told apart from": rest}
        found = "; ".join(f"{' and '.join(names)} {words} {summary['reference']}" for words, names in groups.items() if names)
        where = f"new classes of {source}" if source == task else source
        out.append(f"{k}-shot on {where}: {found or 'only ' + summary['reference'] + ' was tested'}.")
    return out


def limits(summary: Json, spec: Json) -> list[str]:
    """What the numbers do not say."""
    out = [
        "Each learner was trained once: intervals are about other episodes of these classes, not about another training.",
        f"{spec['meta_steps']:,} outer steps of {spec['meta_batch']} tasks: where a curve below still rises, longer training may change "
        "the order. Hyper-parameters are the papers’, not tuned for this.",
    ]
    if summary["norm"] == "batch":
        out.append("Statistics come from the images at hand: asked alone, a query may get another answer.")
    return out


def shape(of: Json) -> str:
    """The episodes of a run in words, with what guessing gets."""
    chance = ", ".join(dict.fromkeys(percent(value) for value in of["chance"].values()))
    if of["protocol"] == META_DATASET:
        return f"of Meta-Dataset's shape: ways, shots and their balance are drawn for each; guessing gets {chance}"
    return f"of {of['n_queries']} queries, {of['n_way']}-way; guessing gets {chance}"


def failures(summary: Json) -> list[tuple[str, str, str]]:
    """Learner and cell, episode, reason."""
    return [
        (f"{row['learner']}, K = {row['k_shot']}, {row['source']}", f["episode"], f["reason"])
        for row in summary["rows"]
        for f in row["failures"]
    ]


def command_line(spec: Json) -> str:
    """The command that makes this comparison again."""
    words = ["icl", "compare", spec["task"]]
    for f in fields(ImageSpec):
        value = spec[f.name]
        default = list(f.default) if isinstance(f.default, tuple) else f.default
        if f.name == "task" or f.name in HIDDEN or (value == default and f.name not in ALWAYS):
            continue
        words += [f"--{f.name.replace('_', '-')}", ",".join(map(str, value)) if isinstance(value, list) else str(value)]
    return shlex.join(words)


HIDDEN = {"filters", "meta_batch"}
"""Fields that only the library sets."""


def provenance(resolved: Json, environment: Json, spec_sha256: str) -> Pairs:
    """What the run was made with."""
    packages = ", ".join(f"{name} {version}" for name, version in environment["packages"].items() if version)
    data = (
        (
            f"Images of {d['task']}",
            f"{d['source']} ({d['licence']}); classes: {', '.join(f'{part} {n:,}' for part, n in d['classes'].items())}; "
            f"fingerprint {d['fingerprint'][:16]}",
        )
        for d in environment["data"]
    )
    pairs = (
        *data,
        ("Episodes sha256", resolved["episodes_sha256"]),
        ("Spec sha256", spec_sha256),
        ("Device", f"{environment['device']} ({environment['device_name']}), float32"),
        ("Platform", f"{environment['platform']}, Python {environment['python']}"),
        ("Packages", packages),
        ("Git revision", environment.get("git_revision") or ""),
    )
    return tuple((name, str(value)) for name, value in pairs if value)
