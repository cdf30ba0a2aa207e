"""A first card for a file of rows with a text and an answer: what is not given is guessed from names and values.

Each guess is shown to a function `decide`, which may take another value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from tasks.cardsource import FORMATS
from tasks.columns import Row
from tasks.errors import DataError, IclError, unknown_name
from tasks.sources.files import read_file
from tasks.sources.package import decode

NewKind = Literal["classification", "generation"]
KINDS: tuple[NewKind, ...] = ("classification", "generation")
"""Kinds that two columns describe; multiple choice needs a column of lists, and a card by hand."""
TARGETS = ("label", "target", "class", "category", "sentiment", "topic", "answer", "output")
"""Names that a column with the answer often has, the likeliest first."""
MOST_LABELS = 50
DELIMITERS = (",", ";", "\t", "|")

Decide = Callable[[str, str], str]
"""(what is guessed, the guess) → what is taken."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user said of the new task; what is left out is guessed."""

    name: str
    data: Path
    text: str | None = None
    target: str | None = None
    kind: str | None = None


def new_card(wish: Wish, beside: Path, decide: Decide) -> str:
    """The card's text, for a file in the directory `beside`. Raises IclError for unknown columns and what cannot be guessed."""
    file = _inside(wish.data, beside)
    delimiter = _delimiter(wish.data)
    rows = list(read_file(wish.data, wish.data.name, None, delimiter))
    if not rows:
        raise DataError(f"{wish.data}: there must be rows to describe, but there is none")
    columns = [str(column) for column in rows[0]]
    if delimiter:
        delimiter = decide("delimiter", delimiter)
    target = _known(wish.target or decide("target column", _guess_target(rows, columns)), columns)
    text = _known(wish.text or decide("text column", _guess_text(rows, columns, target)), columns)
    kind = wish.kind or decide("kind", _guess_kind(rows, target))
    if kind not in KINDS:
        raise unknown_name("kind of a new card", kind, KINDS, "(multiple choice: write the card by hand, see docs/tasks.md)")
    card: dict[str, Any] = {
        "name": wish.name,
        "kind": kind,
        "description": f"{target} of the rows of {wish.data.name}",
        "source": {"type": "files", "path": file, **({"delimiter": delimiter} if delimiter else {})},
        "splits": {"demonstration": {"from": "all", "part": "0-50"}, "test": {"from": "all", "part": "50-100"}},
        "inputs": {"text" if kind == "classification" else "input": text},
        "target": target,
        **_answers(_values(rows, target), kind),
    }
    return yaml.safe_dump(card, sort_keys=False, allow_unicode=True, width=1000)


def _inside(data: Path, beside: Path) -> str:
    try:
        return data.resolve().relative_to(beside.resolve()).as_posix()
    except ValueError:
        raise IclError(f"a card must lie beside its data, but {data} is not in {beside}; leave --to out or choose {data.parent}") from None


def _delimiter(data: Path) -> str | None:
    """The separator that the header of a CSV file holds most of, where it is not the one that its suffix stands for."""
    if FORMATS.get(data.suffix.lower()) != "csv":
        return None
    usual = "\t" if data.suffix.lower() == ".tsv" else ","
    try:
        header = decode(data.read_bytes(), data.name).partition("\n")[0]
    except OSError as error:
        raise IclError(f"{data}: cannot be read ({error.strerror})") from error
    most = max((usual, *DELIMITERS), key=header.count)
    return None if most == usual else most


def _known(column: str, columns: Sequence[str]) -> str:
    if column not in columns:
        raise unknown_name("column", column, columns)
    return column


def _values(rows: Sequence[Row], column: str) -> list[str]:
    """As texts; "" where a row has none (loading the card then names that row)."""
    values = (row.get(column) for row in rows)
    return ["" if value is None else str(value).strip() for value in values]


def _guess_target(rows: Sequence[Row], columns: Sequence[str]) -> str:
    """A usual name, else the column with the fewest values of those that can be labels."""
    lowered = {column.lower(): column for column in columns}
    for name in TARGETS:
        if name in lowered:
            return lowered[name]
    counts = {column: len(set(_values(rows, column))) for column in columns}
    if found := [column for column in columns if 2 <= counts[column] <= min(MOST_LABELS, len(rows) // 2)]:
        return min(found, key=counts.__getitem__)
    raise IclError(f"no column of {', '.join(columns)} looks like an answer; name one with --target")


def _guess_text(rows: Sequence[Row], columns: Sequence[str], target: str) -> str:
    """The column with the longest texts."""
    others = [column for column in columns if column != target and column.lower() != "id"]
    if not others:
        raise IclError(f"no column of {', '.join(columns)} is left for the text; name one with --text")
    return max(others, key=lambda column: sum(map(len, _values(rows, column))))


def _guess_kind(rows: Sequence[Row], target: str) -> NewKind:
    """Few answers that come again are labels."""
    return "classification" if len(set(_values(rows, target))) <= min(MOST_LABELS, len(rows) // 2) else "generation"


def _answers(targets: Sequence[str], kind: str) -> dict[str, Any]:
    """Labels, or how long an answer may be (four tokens a word, and what ends it unless answers have several lines)."""
    if kind == "classification":
        return {"labels": sorted(set(targets) - {""})}
    longest = max(len(target.split()) for target in targets)
    return {"max_new_tokens": min(4096, max(16, 4 * longest)), **({"stop": []} if any("\n" in target for target in targets) else {})}
