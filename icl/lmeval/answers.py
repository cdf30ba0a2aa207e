"""From `doc_to_choice` and `doc_to_target` to what a card says of answers: its kind, labels or choices, target.

A constant list of choices is a classification, whose labels are the choices; any other is multiple choice. An answer is what the harness
takes it for: a number (or digits) counts the choices, a text is one of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import nodes

from icl.lmeval.expressions import chosen_from, constant, counted, names_in, path_of, position_in, sole_expression, strips, without
from icl.lmeval.harness import Read

SIMPLE = "must be a column, a number, LIST.index(column), LIST[column] or column - number, but is"


@dataclass(frozen=True)
class Answers:
    """The part of a card that says what is answered."""

    kind: str
    keys: dict[str, Any]


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
    if expression is None:
        raise read.refuse("doc_to_target", f"{SIMPLE} {shown(target)}")
    if (found := position_in(expression)) and (names := names_in(found[0])) and len(names) <= len(words):
        column = found[1]
        if clash := [name for name, word in zip(names, words, strict=False) if name != word and name in words]:
            return _renamed(read, names, words, column, clash[0])
        aliases = {name: word for name, word in zip(names, words, strict=False) if name != word}
        said = _target(column, strip=True)
    elif chosen := chosen_from(expression):
        texts, column, first = chosen
        if stray := [text for text in texts if text not in words]:
            raise read.refuse("doc_to_target", f"must give choices, but {stray[0]!r} is none")
        aliases = {str(number): text for number, text in enumerate(texts, first)}
        said = _target(column)
    elif number := counted(without(expression, "string", "trim", calls=("strip",))):
        column, first = number
        aliases = {str(at): word for at, word in enumerate(words, first)} if first else {}
        said = _target(column, numbers=_numbers(target, expression), strip=strips(expression))
    else:
        raise read.refuse("doc_to_target", f"{SIMPLE} {shown(target)}")
    keys = {"target": said, "labels": list(words), **({"label_aliases": aliases} if aliases else {})}
    return Answers("classification", keys)


def _target(column: str, *, first: int = 0, numbers: str = "any", strip: bool = False, options: Sequence[str] = ()) -> Any:
    """The key `target`: a column, with what has to be said beside it."""
    more = {
        **({"options": list(options)} if options else {}),
        **({"first": first} if first else {}),
        **({"numbers": numbers} if numbers != "any" else {}),
        **({"white_space": "strip"} if strip else {}),
    }
    return {"field": column, **more} if more else column


def _numbers(target: str, expression: nodes.Expr) -> str:
    """A bare column is a number only where it is one; written by a template, digits are one, too; what is reckoned with must be one."""
    if target.isidentifier():
        return "typed"
    return "any" if path_of(without(expression, "string", "trim", calls=("strip",))) else "only"


def _renamed(read: Read, names: list[str], words: list[str], column: str, clash: str) -> Answers:
    """Labels under the names of the data, since its A may be the choice B."""
    if len(names) < len(words):
        raise read.refuse("doc_to_target", f"{clash!r} names a choice and is another, and there are more choices than names")
    labels = dict(zip(names, words, strict=True))
    return Answers("classification", {"target": _target(column, strip=True), "labels": labels})


def _multiple_choice(read: Read) -> Answers:
    choices = _listed(read)
    target = read.task.doc_to_target
    if isinstance(target, int):
        return Answers("multiple_choice", {"choices": {**choices, "right": target}})
    expression = sole_expression(target)
    if expression is None:
        raise read.refuse("doc_to_target", f"{SIMPLE} {shown(target)}")
    if type(value := constant(expression)) is int:
        return Answers("multiple_choice", {"choices": {**choices, "right": value}})
    if found := position_in(expression):
        listing, column = found
        if names := names_in(listing):
            return Answers("multiple_choice", {"target": column, "choices": {**choices, "names": names}})
        if (keys := path_of(listing)) and "texts" in choices:
            return Answers("multiple_choice", {"target": column, "choices": {**choices, "keys": keys}})
    elif number := counted(without(expression, "string", "trim", calls=("strip",))):
        column, first = number
        said = _target(column, first=first, numbers=_numbers(target, expression), strip=strips(expression))
        return Answers("multiple_choice", {"target": said, "choices": {**choices, "answer": "text"}})
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
        if path := path_of(without(expression, "string", "trim", calls=("strip",))):
            return Answers("generation", {"target": _target(path, strip=strips(expression))})
        if chosen := chosen_from(expression):
            texts, column, first = chosen
            return Answers("generation", {"target": _target(column, first=first, options=texts)})
    raise read.refuse("doc_to_target", f"must be a column or LIST[column] to be said in a card, but is {shown(target)}")


def shown(value: Any) -> str:
    """A value as a message shows it."""
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "…"
