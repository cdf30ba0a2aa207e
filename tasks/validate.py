"""What is wrong, or looks wrong, with a task's data: findings by rule, each with its severity.

Loading already leaves out duplicates and exact leaks and counts them; this says what was left out, and finds what loading cannot know:
near-duplicates, fields without text, lopsided labels, texts of unusual length.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from tasks.cardfile import load_card
from tasks.errors import DataError, IclError, shorten
from tasks.load import find_card, load_task
from tasks.minhash import THRESHOLD, miss_rate, near_duplicates
from tasks.normalise import example_key
from tasks.types import Example, Task

CONFLICT = "same text with different answers"
"""The one reason for leaving rows out that says the data contradicts itself."""
LOPSIDED = 10
"""The most frequent label may have so many times the rows of the rarest."""
FENCE = 3.0
"""A length is an outlier so many interquartile ranges (of log lengths) beyond the quartiles."""
NARROW = 0.3
"""Least interquartile range of log lengths: where all texts are equally long, one word more is no outlier."""
SHOWN = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found, in all rows that have it."""

    severity: Literal["error", "warning"]
    rule: str
    rows: int
    """How many rows (or, for near-duplicates, pairs) it concerns; 0 for the whole card."""
    text: str


@dataclass(frozen=True, slots=True)
class Validation:
    """What `validate` found out. `splits` and `labels` are empty for a task that cannot be loaded."""

    task: str
    splits: Mapping[str, int]
    labels: Mapping[str, Mapping[str, int]]
    """Role → label (multiple choice: letter) → rows."""
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> int:
        return sum(finding.severity == "error" for finding in self.findings)


def validate(name_or_path: str | Path, data_dir: Path | None = None) -> Validation:
    """Loads the task and looks at every row. Raises IclError for a task that is not there and FetchError for data that cannot be fetched;
    a broken card and data that breaks its rules are findings."""
    path = find_card(name_or_path)
    try:
        load_card(path)
    except IclError as error:
        return _unreadable(name_or_path, error)
    try:
        task = load_task(name_or_path, data_dir)
    except DataError as error:
        return _unreadable(name_or_path, error)
    return check(task)


def _unreadable(name: str | Path, error: IclError) -> Validation:
    return Validation(str(name), {}, {}, (Finding("error", "schema", 0, str(error)),))


def check(task: Task) -> Validation:
    """All rules on a loaded task, errors first."""
    rows = {role: list(examples) for role, examples in task.splits.items()}
    findings = [*_left_out(task), *_remarks(task), *_empty_fields(rows), *_near(task, rows), *_balance(task, rows), *_lengths(rows)]
    findings.sort(key=lambda finding: finding.severity != "error")
    sizes = {role: len(found) for role, found in rows.items()}
    return Validation(task.name, sizes, _counts(task, rows), tuple(findings))


def _left_out(task: Task) -> Iterator[Finding]:
    for reason, count in task.dropped.items():
        if reason == CONFLICT:
            yield Finding("error", "label noise", count, f"{reason}: all of them are left out; decide on one answer in the data")
        elif reason.startswith("also in "):
            yield Finding("warning", "leak", count, f"text that is {reason}: left out")
        else:
            yield Finding("warning", "left out", count, reason)


def _remarks(task: Task) -> Iterator[Finding]:
    for remark in task.remarks:
        yield Finding("warning", "labels", 0, remark)


def _empty_fields(rows: Mapping[str, Sequence[Example]]) -> Iterator[Finding]:
    empty = Counter[tuple[str, str]](
        (role, name) for role, found in rows.items() for e in found for name, text in e.inputs.items() if not text
    )
    for (role, name), count in empty.items():
        yield Finding("warning", "missing values", count, f"'{name}' is empty in {count} of {len(rows[role])} rows of {role}")


def _near(task: Task, rows: Mapping[str, Sequence[Example]]) -> Iterator[Finding]:
    """Near-duplicates by the pair of roles; across roles a demonstration nearly gives the query away."""
    placed = [(role, example) for role, found in rows.items() for example in found]
    pairs: dict[tuple[str, str], list[str]] = {}
    disagree: Counter[tuple[str, str]] = Counter()
    for pair in near_duplicates([example_key(example, task.kind) for _, example in placed]):
        (role, a), (other, b) = placed[pair.first], placed[pair.second]
        pairs.setdefault((role, other), []).append(f"{shorten(a.id)} and {shorten(b.id)} ({pair.similarity:.2f})")
        disagree[role, other] += bool(task.labels) and a.target != b.target
    for (role, other), found in pairs.items():
        where = f"within {role}" if role == other else f"between {role} and {other}"
        labels = f", {disagree[role, other]} with different labels" if disagree[role, other] else ""
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        text = f"{_pairs(len(found))} {where} of similarity {THRESHOLD} or more{labels}: {', '.join(found[:SHOWN])}{more}"
        yield Finding("warning" if role == other else "error", "near-duplicates", len(found), text)


def _pairs(count: int) -> str:
    return "1 pair" if count == 1 else f"{count} pairs"


def _counts(task: Task, rows: Mapping[str, Sequence[Example]]) -> dict[str, dict[str, int]]:
    if task.kind == "generation":
        return {}
    return {role: dict(sorted(Counter(e.target for e in found).items())) for role, found in rows.items()}


def _balance(task: Task, rows: Mapping[str, Sequence[Example]]) -> Iterator[Finding]:
    for role, counts in _counts(task, rows).items():
        (rare, least), (common, most) = min(counts.items(), key=lambda item: item[1]), max(counts.items(), key=lambda item: item[1])
        if task.kind == "classification" and most > LOPSIDED * least:
            text = f"{role} has {most} rows with '{shorten(common)}' and {least} with '{shorten(rare)}', more than {LOPSIDED} times as many"
            yield Finding("warning", "balance", least, text)


def _lengths(rows: Mapping[str, Sequence[Example]]) -> Iterator[Finding]:
    """Tukey's fences on log lengths, in words of all inputs, over all roles: lengths are spread by factors."""
    placed = [example for found in rows.values() for example in found]
    words = np.array([sum(len(text.split()) for text in example.inputs.values()) for example in placed])
    logs = np.log1p(words)
    low, middle, high = np.quantile(logs, [0.25, 0.5, 0.75])
    reach = FENCE * max(high - low, NARROW)
    for name, out in (("short", logs < low - reach), ("long", logs > high + reach)):
        positions = np.flatnonzero(out)
        if len(positions):
            worst = int(positions[np.argmax(np.abs(logs[positions] - middle))])
            typical = round(float(np.expm1(middle)))
            text = f"unusually {name} (the median has {typical} words), the most so row {shorten(placed[worst].id)} with {words[worst]}"
            yield Finding("warning", "length", len(positions), text)


def method() -> str:
    """How near-duplicates are found and how often a pair is missed, in one line."""
    return (
        f"near-duplicates: MinHash on pairs of words, checked exactly, Jaccard similarity of {THRESHOLD} or more; "
        f"a pair at the threshold is missed with probability {miss_rate(THRESHOLD):.1e}"
    )
