"""From one raw row to an `Example`: columns are looked up, labels and choices resolved, everything becomes text."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tasks.card import TaskCard
from tasks.cardparts import Choices, Target
from tasks.cardsource import Column
from tasks.errors import DataError, shorten
from tasks.rng import keyed_rng
from tasks.sources.types import Rows
from tasks.types import LETTERS, Example

Row = Mapping[str, Any]
MISSING = object()
MAX_ID = 200
DIGITS = re.compile(r"\d{1,6}", re.ASCII)
TYPES = {dict: "an object", list: "a list", tuple: "a list", bytes: "bytes"}
NO_TEXT = re.compile("[\\x00\\ud800-\\udfff]")
"""A NUL, or half of a character: not text, though a file can say it. No tokenizer and no Arrow table takes the latter."""


class _NoColumn(Exception):
    """A row lacks a column that the card names."""


def examples_of(card: TaskCard, split: str, rows: Rows, ids: Sequence[str]) -> Iterator[Example | str]:
    """The examples of a split in the source's order; a text instead of an example says why a row is left out.

    Raises DataError for a row that breaks the card's rules, naming file and line (or what the source has instead), and the row's own id.
    """
    resolver = _Resolver(card)
    for index, (id, row) in enumerate(zip(ids, rows, strict=True)):
        try:
            yield resolver.example(id, row)
        except DataError as error:
            named = "" if id == _numbered(split, index) else f", row {id}"
            raise DataError(f"{rows.place(index)}: task '{card.name}'{named}: {error}") from None
        except _NoColumn as error:
            raise DataError(f"{rows.place(index)}: task '{card.name}': {error}{rows.advice}") from None


def row_ids(rows: Mapping[str, Rows]) -> dict[str, list[str]]:
    """An id per row, unique in the task: the column `id` when every row has a usable one and all differ, else `split:position`."""
    given = {name: [id for row in split if (id := _own_id(row)) is not None] for name, split in rows.items()}
    everywhere = all(len(given[name]) == len(split) for name, split in rows.items())
    if everywhere and len({id for ids in given.values() for id in ids}) == sum(map(len, given.values())):
        return given
    return {name: [_numbered(name, i) for i in range(len(split))] for name, split in rows.items()}


def _own_id(row: Row) -> str | None:
    """Ids stand in episode files and on the command line: one short line of characters that can be shown."""
    value = row.get("id")
    id = str(value).strip() if isinstance(value, str | int | float) else ""
    return id if id.isprintable() and 0 < len(id) <= MAX_ID else None


def _numbered(split: str, index: int) -> str:
    return f"{split}:{index}"


def look_up(row: Row, column: Column) -> Any:
    """The value at the first column path that the row has. Raises an error that names the columns there are."""
    for path in column:
        value = _at(row, path)
        if value is not MISSING:
            return value
    wanted = " or ".join(f"'{path}'" for path in column)
    raise _NoColumn(f"there is no column {wanted}; the columns are {shorten(', '.join(map(str, row)), 500)}")


def _at(row: Row, path: str) -> Any:
    if path in row:
        return row[path]
    value: Any = row
    for part in path.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return MISSING
        value = value[part]
    return value


class _Resolver:
    """One card's rules, applied row by row."""

    def __init__(self, card: TaskCard) -> None:
        self.card = card
        self.labels = tuple(card.labels)
        self.by_id = not any(map(DIGITS.fullmatch, (*card.labels, *card.label_aliases)))
        self.pattern = re.compile(card.answer_pattern) if card.answer_pattern else None

    def example(self, id: str, row: Row) -> Example | str:
        inputs = {name: _text(look_up(row, column), column) for name, column in self.card.inputs.items()}
        if not any(inputs.values()):
            return "empty text"
        if self.card.kind == "classification":
            label = self._label(row)
            return "rating between the thresholds" if label is None else Example(id, inputs, label)
        if self.card.kind == "multiple_choice":
            assert self.card.choices is not None  # the card was checked
            texts, right = self._choices(id, row, self.card.choices)
            if texts.count(texts[right]) > 1:
                return "right choice that stands among the wrong ones, too"  # published data has some; nobody can answer them
            return Example(id, inputs, LETTERS[right], choices=texts)
        target, answers = self._generation(row)
        return Example(id, inputs, target, answers=answers)

    def _label(self, row: Row) -> str | None:
        target = self.card.target
        assert target is not None  # the card was checked
        value = look_up(row, target.field)
        return _cut(target, value) if target.rated else self._named(value)

    def _named(self, value: Any) -> str:
        """A label's name, its alias or its id (a number, or digits). Where a label is named by digits, digits are names only."""
        name = str(value).strip()
        if name in self.card.labels:
            return name
        if name in self.card.label_aliases:
            return self.card.label_aliases[name]
        number = value.is_integer() if isinstance(value, float) else DIGITS.fullmatch(name)
        if number and self.by_id and not isinstance(value, bool) and 0 <= int(float(name)) < len(self.labels):
            return self.labels[int(float(name))]
        known = ", ".join(self.labels) if len(self.labels) <= 12 else f"{', '.join(self.labels[:12])} … ({len(self.labels)} in all)"
        raise DataError(f"a label must be one that the card lists, but got {shorten(repr(value))}; known: {known}")

    def _choices(self, id: str, row: Row, choices: Choices) -> tuple[tuple[str, ...], int]:
        """Texts in the order of their letters, and the position of the right one."""
        if choices.texts is None:
            assert choices.correct is not None
            assert choices.incorrect is not None
            right = _text(look_up(row, choices.correct), choices.correct)
            wrong = [text for text in _texts(look_up(row, choices.incorrect), choices.incorrect) if text != right]
            texts = _shuffled([right, *wrong], self.card.name, id)
            return _checked(texts), texts.index(right)
        texts = tuple(_texts(look_up(row, choices.texts), choices.texts))
        assert self.card.target is not None
        answer = look_up(row, self.card.target.field)
        names = _texts(look_up(row, choices.keys), choices.keys) if choices.keys else list(LETTERS[: len(texts)])
        if len(names) != len(texts):
            raise DataError(f"choices and their keys must be as many, but there are {len(texts)} and {len(names)}")
        return _checked(texts), _position(answer, names, positional=choices.keys is None)

    def _generation(self, row: Row) -> tuple[str, tuple[str, ...]]:
        """The text that a demonstration shows, and every accepted answer."""
        assert self.card.target is not None
        target = _text(look_up(row, self.card.target.field), self.card.target.field)
        if not target:
            raise DataError("the target must not be empty")
        if self.pattern is not None:
            written = ([match.group(1) or "" for match in self.pattern.finditer(target)] or [""])[-1].strip()
            if not written:
                raise DataError(f"answer_pattern '{self.pattern.pattern}' finds no answer in the target {target[-60:]!r}")
            plain = re.sub(r"(?<=\d),(?=\d{3})", "", written)
            return target, tuple(dict.fromkeys([plain, written]))
        more = _texts(look_up(row, self.card.answers), self.card.answers) if self.card.answers else []
        answers = tuple(dict.fromkeys([target, *filter(None, more)]))
        if all(any(stop in answer for stop in self.card.stop) for answer in answers):
            stops = ", ".join(map(repr, self.card.stop))
            raise DataError(
                f"the answer {shorten(repr(target))} can never be written, since the card's stop ({stops}) cuts it; change 'stop'"
            )
        return target, answers


def _cut(target: Target, value: Any) -> str | None:
    """A rating becomes a label by the card's thresholds; None between them when the card gives no label there."""
    try:
        rating = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        raise DataError(f"a rating must be a number, but '{target.field[0]}' is {shorten(repr(value))}") from None
    if not math.isfinite(rating):
        raise DataError(f"a rating must be a finite number, but '{target.field[0]}' is {value!r}")
    for label, least in sorted(target.at_least.items(), key=lambda item: -item[1]):
        if rating >= least:
            return label
    for label, most in sorted(target.at_most.items(), key=lambda item: item[1]):
        if rating <= most:
            return label
    return target.otherwise


def _position(answer: Any, names: Sequence[str], positional: bool) -> int:
    """Position of the right choice: by its key, or (without keys) by letter or by number from 0."""
    name = str(answer).strip()
    if name in names:
        return list(names).index(name)
    if positional and name.isascii() and name.isdigit() and int(name) < len(names):
        return int(name)
    raise DataError(f"the right answer must be one of the choices {shorten(', '.join(names), 200)}, but got {shorten(repr(answer))}")


def _checked(texts: Sequence[str]) -> tuple[str, ...]:
    if not 2 <= len(texts) <= len(LETTERS):
        raise DataError(f"there must be 2 to {len(LETTERS)} choices, but got {len(texts)}")
    if "" in texts:
        raise DataError("a choice must not be empty")
    return tuple(texts)


def _shuffled(texts: Sequence[str], *key: str) -> tuple[str, ...]:
    """An order that the item's id decides, so that the right choice is not always the first."""
    order = keyed_rng(0, "choices", *key).permutation(len(texts))
    return tuple(texts[int(i)] for i in order)


def _text(value: Any, column: Column) -> str:
    """White space around a text is an accident of its file (a line end that was kept); inside it is the author's."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        raise DataError(f"column '{column[0]}' has no value")
    if isinstance(value, Mapping | list | tuple | bytes):
        raise DataError(f"column '{column[0]}' must hold text, but holds {TYPES.get(type(value), 'something else')}")
    text = value if isinstance(value, str) else str(value)
    if found := NO_TEXT.search(text):
        what = "a NUL character" if found.group() == "\0" else f"half of a character ({found.group()!r})"
        raise DataError(f"column '{column[0]}' must hold text, but holds {what}")
    return text.strip()


def _texts(value: Any, column: Column) -> list[str]:
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise DataError(f"column '{column[0]}' must hold a list of texts, but holds {shorten(repr(value))}")
    return [_text(item, column) for item in value]
