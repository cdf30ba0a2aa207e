"""Looking up a column of a raw row, and reading what stands there as text."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tasks.cardsource import Column
from tasks.errors import DataError, shorten

Row = Mapping[str, Any]
MISSING = object()
TYPES = {dict: "an object", list: "a list", tuple: "a list", bytes: "bytes"}
NO_TEXT = re.compile("[\\x00\\ud800-\\udfff]")
"""A NUL, or half of a character: not text, though a file can say it. No tokenizer and no Arrow table takes the latter."""


class NoColumn(Exception):
    """A row lacks a column that the card names."""


def look_up(row: Row, column: Column) -> Any:
    """The value at the first column path that the row has. Raises an error that names the columns there are."""
    for path in column:
        value = _at(row, path)
        if value is not MISSING:
            return value
    wanted = " or ".join(f"'{path}'" for path in column)
    raise NoColumn(f"there is no column {wanted}; the columns are {shorten(', '.join(map(str, row)), 500)}")


def _at(row: Row, path: str) -> Any:
    if path in row:
        return row[path]
    value: Any = row
    for part in path.split("."):
        value = _step(value, part)
        if value is MISSING:
            return MISSING
    return value


def _step(value: Any, part: str) -> Any:
    """One name further into an object; in a list a number is a position, and a name reaches into every object of it."""
    if isinstance(value, Mapping):
        return value.get(part, MISSING)
    if not isinstance(value, list | tuple):
        return MISSING
    if part.isascii() and part.isdigit():
        return value[int(part)] if int(part) < len(value) else MISSING
    found = [_step(item, part) for item in value]
    return MISSING if any(item is MISSING for item in found) else found


def as_text(value: Any, column: Column, keep: bool = False) -> str:
    """White space around a text is an accident of its file (a line end that was kept) unless the card says `keep`; inside it is the
    author's."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        raise DataError(f"column '{column[0]}' has no value")
    if isinstance(value, Mapping | list | tuple | bytes):
        raise DataError(f"column '{column[0]}' must hold text, but holds {TYPES.get(type(value), 'something else')}")
    text = value if isinstance(value, str) else str(value)
    check_characters(text, column)
    return text if keep else text.strip()


def as_texts(value: Any, column: Column, keep: bool = False) -> list[str]:
    """The texts of a list."""
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise DataError(f"column '{column[0]}' must hold a list of texts, but holds {shorten(repr(value))}")
    return [as_text(item, column, keep) for item in value]


def as_json(value: Any, column: Column) -> str:
    """Whatever a column holds, for a template that reads it with `fromjson`."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"column '{column[0]}' must hold what JSON can say, but {shorten(str(error), 200)}") from None
    check_characters(text, column)
    return text


def check_characters(text: str, column: Column) -> None:
    """Raises DataError for what no tokenizer takes."""
    if found := NO_TEXT.search(text):
        what = "a NUL character" if found.group() == "\0" else f"half of a character ({found.group()!r})"
        raise DataError(f"column '{column[0]}' must hold text, but holds {what}")
