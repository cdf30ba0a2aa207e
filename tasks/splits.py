"""From the source's rows to the roles: percents by hash, duplicates out, no text in two roles.

A text that is asked must never stand in a prompt as a demonstration. So the evaluated roles keep their rows and `demonstration` loses
what also stands there; everything left out is counted by reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tasks.card import Role, TaskCard
from tasks.errors import DataError
from tasks.normalise import bucket, example_key, telling_keys
from tasks.types import Example, Kind

KEEPERS: tuple[Role, ...] = ("test", "validation", "demonstration")
"""Who keeps a text that stands in several roles: the first of these."""


@dataclass(frozen=True)
class Parted:
    """Rows by role, and why the others were left out."""

    roles: Mapping[str, list[Example]]
    dropped: Mapping[str, int]


def part(card: TaskCard, splits: Mapping[str, Sequence[Example]], variant: str, left_out: Mapping[str, int]) -> Parted:
    """Cuts the source's splits into the card's roles; `left_out` counts rows that never became examples, by reason.

    Raises DataError for a role without rows.
    """
    dropped: Counter[str] = Counter(left_out)
    owner: dict[str, str] = {}
    roles: dict[str, list[Example]] = {}
    clean = {name: _without_duplicates(card.kind, rows, dropped) for name, rows in splits.items()}
    for role in KEEPERS:
        if role not in card.splits:
            continue
        use = card.splits[role].of(variant)
        low, high = use.bounds
        rows: list[Example] = []
        for key, example in clean[use.source]:
            if (low, high) != (0, 100) and not low <= bucket(key) < high:
                continue
            if found := [owner[telling] for telling in telling_keys(example, card.kind) if telling in owner]:
                dropped[f"also in {found[0]}"] += 1
                continue
            rows.append(example)
        owner.update((key, role) for example in rows for key in telling_keys(example, card.kind))
        if not rows:
            raise DataError(
                f"every split must have rows, but {role} of task '{card.name}' is empty "
                f"(split '{use.source}', percents {use.part}, of {len(clean[use.source])} rows{_counts(dropped)})"
            )
        roles[role] = rows
    _count_unused(card, clean, variant, dropped)
    ordered: dict[str, list[Example]] = {role: roles[role] for role in reversed(KEEPERS) if role in roles}
    return Parted(ordered, dict(sorted(dropped.items())))


def _counts(dropped: Mapping[str, int]) -> str:
    return f"; left out: {', '.join(f'{count} {reason}' for reason, count in sorted(dropped.items()))}" if dropped else ""


def _count_unused(card: TaskCard, clean: Mapping[str, Sequence[tuple[str, Example]]], variant: str, dropped: Counter[str]) -> None:
    """Rows of a source's split that fall between the percents of the roles."""
    for name, rows in clean.items():
        bounds = [use.bounds for use in (split.of(variant) for split in card.splits.values()) if use.source == name]
        covered = {percent for low, high in bounds for percent in range(low, high)}
        if len(covered) < 100 and (unused := sum(bucket(key) not in covered for key, _ in rows)):
            dropped["outside the percents of every split"] += unused


def _without_duplicates(kind: Kind, rows: Sequence[Example], dropped: Counter[str]) -> list[tuple[str, Example]]:
    """Of rows with one text and one answer the first; none of rows with one text and different answers."""
    answers: dict[str, set[str]] = {}
    keyed = [(example_key(example, kind), example) for example in rows]
    for key, example in keyed:
        answers.setdefault(key, set()).add(_answer(kind, example))
    seen: set[str] = set()
    kept: list[tuple[str, Example]] = []
    for key, example in keyed:
        if len(answers[key]) > 1:
            dropped["same text with different answers"] += 1
        elif key in seen:
            dropped["duplicate text"] += 1
        else:
            seen.add(key)
            kept.append((key, example))
    return kept


def _answer(kind: Kind, example: Example) -> str:
    """What must agree between duplicates: the letter stands for a text, a rationale for its final answer."""
    if kind == "multiple_choice":
        return example.choices[ord(example.target) - ord("A")]
    return example.answers[0] if example.answers else example.target
