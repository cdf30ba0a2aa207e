"""From one raw row to an `Example`: columns are looked up, labels and choices resolved, everything becomes text."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tasks.card import TaskCard
from tasks.cardparts import Choices, Target
from tasks.cardsource import Column
from tasks.columns import NoColumn, Row, as_json, as_text, as_texts, look_up
from tasks.errors import DataError, shorten
from tasks.rng import keyed_rng
from tasks.sources.types import Rows
from tasks.types import LETTERS, Example

MAX_ID = 200
DIGITS = re.compile(r"\d{1,6}", re.ASCII)


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
        except NoColumn as error:
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


class _Resolver:
    """One card's rules, applied row by row."""

    def __init__(self, card: TaskCard) -> None:
        self.card = card
        self.labels = tuple(card.labels)
        self.by_id = not any(map(DIGITS.fullmatch, (*card.labels, *card.label_aliases)))
        self.keep = card.white_space == "keep"
        given = card.target.white_space if card.target is not None else None
        self.keep_answer = (given or card.white_space) == "keep"
        self.numbers = card.target.numbers if card.target is not None else "any"
        self.pattern = re.compile(card.answer_pattern) if card.answer_pattern else None

    def example(self, id: str, row: Row) -> Example | str:
        inputs = {name: self._input(name, row) for name in self.card.inputs}
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

    def _input(self, name: str, row: Row) -> str:
        column = self.card.inputs[name]
        value = look_up(row, column)
        return as_json(value, column) if name in self.card.as_json else as_text(value, column, self.keep)

    def _text(self, row: Row, column: Column) -> str:
        return as_text(look_up(row, column), column, self.keep)

    def _texts(self, row: Row, column: Column) -> list[str]:
        return as_texts(look_up(row, column), column, self.keep)

    def _label(self, row: Row) -> str | None:
        target = self.card.target
        assert target is not None  # the card was checked
        value = look_up(row, target.field)
        return _cut(target, value) if target.rated else self._named(value)

    def _named(self, value: Any) -> str:
        """A label's name, its alias or its id (a number, or digits). Where a label is named by digits, digits are names only."""
        if self.numbers == "only" and not DIGITS.fullmatch(str(value).strip()):
            raise DataError(f"the target must be a number, but got {shorten(repr(value))}")
        if self.numbers == "typed" and isinstance(value, bool):
            value = int(value)
        name = str(value) if self.keep_answer else str(value).strip()
        if name in self.card.labels:
            return name
        if name in self.card.label_aliases:
            return self.card.label_aliases[name]
        number = value.is_integer() if isinstance(value, float) else DIGITS.fullmatch(name)
        counts = self.by_id and not isinstance(value, bool) and not (self.numbers == "typed" and isinstance(value, str))
        if number and counts and 0 <= int(float(name)) < len(self.labels):
            return self.labels[int(float(name))]
        known = ", ".join(self.labels) if len(self.labels) <= 12 else f"{', '.join(self.labels[:12])} … ({len(self.labels)} in all)"
        raise DataError(f"a label must be one that the card lists, but got {shorten(repr(value))}; known: {known}")

    def _choices(self, id: str, row: Row, choices: Choices) -> tuple[tuple[str, ...], int]:
        """Texts in the order of their letters, and the position of the right one."""
        if choices.correct is not None and choices.incorrect is not None:
            right = self._text(row, choices.correct)
            wrong = [text for text in self._texts(row, choices.incorrect) if text != right]
            texts = _shuffled([right, *wrong], self.card.name, id)
            return _checked(texts), texts.index(right)
        if choices.texts is None:
            listed = [self._text(row, (path,)) for path in choices.columns]
        else:
            listed = self._texts(row, choices.texts)
        if choices.right is None:
            return _checked(listed), self._right(row, choices, listed)
        if choices.right >= len(listed):
            raise DataError(f"the right choice is the one at position {choices.right}, from 0, but there are {len(listed)}")
        return _checked(listed), choices.right

    def _right(self, row: Row, choices: Choices, texts: Sequence[str]) -> int:
        """Position of the right one of the listed choices, as the target says it."""
        assert self.card.target is not None  # the card was checked
        answer, first = look_up(row, self.card.target.field), self.card.target.first
        if choices.answer == "text":
            if isinstance(answer, str) and not self.keep_answer:
                answer = answer.strip()
            return _by_text(answer, texts, first, self.numbers)
        if choices.keys is None and not choices.names:
            return _position(answer, list(LETTERS[: len(texts)]), first)
        names = self._texts(row, choices.keys) if choices.keys else list(choices.names)
        if choices.names and len(names) > len(texts):
            names = names[: len(texts)]
        if len(names) != len(texts):
            raise DataError(f"choices and their keys must be as many, but there are {len(texts)} and {len(names)}")
        return _position(answer, names)

    def _generation(self, row: Row) -> tuple[str, tuple[str, ...]]:
        """The text that a demonstration shows, and every accepted answer."""
        assert self.card.target is not None
        target, more = self._answers(row, self.card.target)
        if not target:
            raise DataError("the target must not be empty")
        if self.pattern is not None:
            written = ([match.group(1) or "" for match in self.pattern.finditer(target)] or [""])[-1].strip()
            if not written:
                raise DataError(f"answer_pattern '{self.pattern.pattern}' finds no answer in the target {target[-60:]!r}")
            plain = re.sub(r"(?<=\d),(?=\d{3})", "", written)
            return target, tuple(dict.fromkeys([plain, written]))
        if self.card.answers:
            more = self._texts(row, self.card.answers)
        answers = tuple(dict.fromkeys([target, *filter(None, more)]))
        if self.card.cut_answers == "refuse" and all(any(stop in answer for stop in self.card.stop) for answer in answers):
            stops = ", ".join(map(repr, self.card.stop))
            raise DataError(
                f"the answer {shorten(repr(target))} can never be written, since the card's stop ({stops}) cuts it; change 'stop'"
            )
        return target, answers

    def _answers(self, row: Row, target: Target) -> tuple[str, list[str]]:
        """The text that a demonstration shows and what else the target's column accepts: a list there accepts all and shows the first."""
        value = look_up(row, target.field)
        if target.options:
            return target.options[_number(value, target.first, len(target.options))], []
        if isinstance(value, list | tuple) and value:
            texts = as_texts(value, target.field, self.keep_answer)
            return texts[0], texts
        return as_text(value, target.field, self.keep_answer), []


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


def _position(answer: Any, names: Sequence[str], first: int | None = None) -> int:
    """Position of the right choice: by its name, or, where numbers count the choices from `first`, by letter or number."""
    name = str(answer).strip()
    if name in names:
        return list(names).index(name)
    if first is not None and name.isascii() and name.isdigit() and 0 <= int(name) - first < len(names):
        return int(name) - first
    raise DataError(f"the right answer must be one of the choices {shorten(', '.join(names), 200)}, but got {shorten(repr(answer))}")


def _by_text(answer: Any, texts: Sequence[str], first: int, numbers: str) -> int:
    """Position of the right choice: a number counts the choices from `first`, as do digits unless `typed`; a text is one of theirs."""
    if not isinstance(answer, str) or numbers == "only" or (DIGITS.fullmatch(answer) and numbers == "any"):
        return _number(answer, first, len(texts))
    if answer in texts:
        return list(texts).index(answer)
    raise DataError(f"the right answer must be one of the choices {shorten(', '.join(texts), 200)}, but got {shorten(repr(answer))}")


def _number(value: Any, first: int, count: int) -> int:
    """Position that a number (or digits) names among so many things."""
    number = int(value) if DIGITS.fullmatch(str(value).strip()) else int(value) if isinstance(value, bool) else -1
    if not 0 <= number - first < count:
        raise DataError(f"the answer must be a number from {first} to {first + count - 1}, but got {shorten(repr(value))}")
    return number - first


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
