"""What a source gives: raw rows by the source's own split names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from tasks.card import TaskCard


class Rows(Protocol):
    """Dicts in order: a list, or a view of a `datasets.Dataset` (read as often as needed, never all in memory)."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Mapping[str, Any]]: ...

    @property
    def advice(self) -> str:
        """What may be wrong with the whole source when a column is missing, as the end of a message; or empty."""
        ...

    def place(self, index: int) -> str:
        """Where the row at that position stands, as a message names it: `data.csv:7`."""
        ...


@dataclass(frozen=True)
class FileRows:
    """Rows that were read from a file."""

    name: str
    """The file, as a message names it."""
    rows: Sequence[Mapping[str, Any]]
    lines: Sequence[int]
    """Line of each row, from 1; empty for a file without lines, whose rows are counted instead."""
    advice: str = ""
    """See Rows."""

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return iter(self.rows)

    def place(self, index: int) -> str:
        """`NAME:LINE`, or `NAME, row NUMBER`."""
        return f"{self.name}:{self.lines[index]}" if self.lines else f"{self.name}, row {index + 1}"


@dataclass(frozen=True)
class Raw:
    """Rows as the source has them."""

    splits: Mapping[str, Rows]
    """The source's split name → rows; every split that the card uses."""
    origin: str
    """Where they came from, in one line."""
    variant: Literal["mirror", "hub", ""] = ""
    """Which of a card's split descriptions holds."""


@dataclass(frozen=True)
class Place:
    """Where a source may look."""

    card_dir: Path
    data_dir: Path | None
    """The mirror directory, if there is one."""


class Source(Protocol):
    """Reads the splits that a card uses. Raises DataError for broken data and FetchError for what cannot be fetched."""

    def read(self, card: TaskCard, place: Place) -> Raw: ...
