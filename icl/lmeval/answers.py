"""From `doc_to_choice` and `doc_to_target` to what a card says of answers: its kind, labels or choices, target.

A constant list of choices is a classification, whose labels are the choices; any other is multiple choice. An answer is what the harness
takes it for: a number (or digits) counts the choices, a text is one of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from icl.lmeval.expressions import chosen_from, constant, counted, names_in, path_of, position_in, sole_expression, without
from icl.lmeval.harness import Read

SIMPLE = "must be a column, a number, LIST.index(column), LIST[column] or column - number, but is"


@dataclass(frozen=True)
class Answers:
    """The part of a card that says what is answered."""

    kind: str
    keys: dict[str, Any]
    column: str | None
    """The column path of the target, which no input may show."""


def read_answers(read: Read) -> Answers:
    """Raises IclError for expressions that a card has no words for."""
    task = read.task
    for key in ("doc_to_target", "doc_to_choice"):
        if getattr(task.fewshot, key) not in (None, getattr(task, key)):
            raise read.refuse("fewshot_config", f"{key} must be that of the queries, or demonstrations would show other answers")
    if task.output_type == "generate_until":
        return _generation(read)
    if task.choices is None:
        raise read.refuse("output_type", "multiple_choice needs doc_to_choice")
    listed = _constant_choices(task.choices)
    return _multiple_choice(read) if listed is None else _classification(read, listed)


def _constant_choices(choices: str | list[str]) -> list[str] | None:
    if isinstance(choices, list):
        return choices
    found = sole_expression(choices)
    value = constant(found) if found is not None else None
    return value if isinstance(value, list) and all(isinstance(item, str) for item in value) else None


def _classification(read: Read, words: list[str]) -> Answers:
    """Labels are named by their words; `label_aliases` where the data names them otherwise."""
    target = read.task.doc_to_target
    if isinstance(target, int):
        raise read.refuse("doc_to_target", f"must differ between rows where doc_to_choice is the same for all, but is {target}")
    if any(word.isdigit() for word in words) and words != [str(i) for i in range(len(words))]:
        raise read.refuse("doc_to_choice", f"numbers as choices cannot be told from positions of choices, but it holds {', '.join(words)}")
    expression = sole_expression(target)
    aliases: dict[str, str] = {}
    if expression is None:
        raise read.refuse("doc_to_target", f"{SIMPLE} {shown(target)}")
    if (found := position_in(expression)) and (names := names_in(found[0])) and len(names) <= len(words):
        column = found[1]
        if clash := [name for name, word in zip(names, words, strict=False) if name != word and name in words]:
            return _renamed(dict(zip(names, words, strict=False)), column) if len(names) == len(words) else _clashes(read, clash)
        aliases = {name: word for name, word in zip(names, words, strict=False) if name != word}
    elif chosen := chosen_from(expression):
        texts, column, first = chosen
        if stray := [text for text in texts if text not in words]:
            raise read.refuse("doc_to_target", f"must give choices, but {stray[0]!r} is none")
        aliases = {str(number): text for number, text in enumerate(texts, first)}
    elif number := counted(without(expression, "string", strip=True)):
        column, first = number
        if first:
            aliases = {str(at): word for at, word in enumerate(words, first)}
    else:
        raise read.refuse("doc_to_target", f"{SIMPLE} {shown(target)}")
    keys = {"target": column, "labels": list(words), **({"label_aliases": aliases} if aliases else {})}
    return Answers("classification", keys, column)


def _renamed(labels: dict[str, str], column: str) -> Answers:
    """Labels under the names of the data: its A may be the choice B."""
    return Answers("classification", {"target": column, "labels": labels}, column)


def _clashes(read: Read, clash: list[str]) -> Answers:
    raise read.refuse("doc_to_target", f"{clash[0]!r} is a position and a choice, too, and there are more choices than positions")


def _multiple_choice(read: Read) -> Answers:
    choices = _listed(read)
    target = read.task.doc_to_target
    if isinstance(target, int):
        return Answers("multiple_choice", {"choices": {**choices, "right": target}}, None)
    expression = sole_expression(target)
    if expression is None:
        raise read.refuse("doc_to_target", f"{SIMPLE} {shown(target)}")
    if type(value := constant(expression)) is int:
        return Answers("multiple_choice", {"choices": {**choices, "right": value}}, None)
    if found := position_in(expression):
        listing, column = found
        if names := names_in(listing):
            return Answers("multiple_choice", {"target": column, "choices": {**choices, "names": names}}, column)
        if (keys := path_of(listing)) and "texts" in choices:
            return Answers("multiple_choice", {"target": column, "choices": {**choices, "keys": keys}}, column)
    elif number := counted(without(expression, "string", strip=True)):
        column, first = number
        said: Any = {"field": column, "first": first} if first else column
        return Answers("multiple_choice", {"target": said, "choices": {**choices, "answer": "text"}}, column)
    raise read.refuse("doc_to_target", f"{SIMPLE} {shown(target)}")


def _listed(read: Read) -> dict[str, Any]:
    """Where a row's choices stand."""
    choices = read.task.choices
    assert isinstance(choices, str)  # constant lists are labels
    expression = sole_expression(choices)
    if expression is not None:
        if path := path_of(expression):
            return {"texts": path}
        paths = [path_of(item) for item in getattr(expression, "items", [])]
        if paths and all(paths):
            return {"columns": paths}
    raise read.refuse("doc_to_choice", f"must be a column with a list, or a list of columns or texts, but is {shown(choices)}")


def _generation(read: Read) -> Answers:
    """A column with the answer, or the number of one of some texts."""
    target = read.task.doc_to_target
    if read.task.choices is not None:
        raise read.refuse("doc_to_choice", "must not stand beside output_type generate_until")
    expression = sole_expression(target) if isinstance(target, str) else None
    if expression is not None:
        if path := path_of(without(expression, "string")):
            return Answers("generation", {"target": path}, path)
        if chosen := chosen_from(expression):
            texts, column, first = chosen
            said = {"field": column, "options": texts, **({"first": first} if first else {})}
            return Answers("generation", {"target": said}, column)
    raise read.refuse("doc_to_target", f"must be a column or LIST[column] to be said in a card, but is {shown(target)}")


def shown(value: Any) -> str:
    """A value as a message shows it."""
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "…"
