"""Which columns the wording of a task reads, and how the fields of a card give them to a template unchanged.

A column that is only written (`{{ question }}`, `{{ question.strip() }}`) is a text. One that is looked into, counted or compared
(`{{ choices[0] }}`) is given as JSON, so that the template sees the very value that the harness sees.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jinja2 import meta, nodes

from icl.lmeval.expressions import parsed
from prompts.language import GLOBALS, METHODS
from tasks.card import TAKEN
from tasks.cardsource import FIELD

TEXT_FILTERS = ("lower", "upper", "trim", "title", "capitalize", "replace", "wordcount", "truncate", "indent")
ONLY_TEXTS = frozenset(METHODS[str]) - frozenset(METHODS[list]) - frozenset(METHODS[dict])
"""Methods that only texts have."""


@dataclass(frozen=True)
class Field:
    """An input of the card."""

    name: str
    column: str
    as_json: bool

    @property
    def setting(self) -> str:
        """The tag that gives the template the column under the name that the wording uses, or nothing where the field has it already."""
        if not self.as_json and self.name == self.column:
            return ""
        return f"{{% set {self.column} = {self.name}{' | fromjson' if self.as_json else ''} %}}"


def fields_of(wordings: Sequence[str]) -> list[Field]:
    """The fields that these templates need, in the order of the names' first appearance."""
    trees = [parsed(wording) for wording in wordings]
    order: list[str] = []
    plain: dict[str, bool] = {}
    for tree in trees:
        free = meta.find_undeclared_variables(tree) - set(GLOBALS)
        for name, written in _uses(tree):
            if name in free:
                plain[name] = plain.get(name, True) and written
                order += [name] if name not in order else []
    taken: set[str] = set()
    found = []
    for column in order:
        field = Field(_field_name(column, taken), column, not plain[column])
        taken.add(field.name)
        found.append(field)
    return found


def _field_name(column: str, taken: set[str]) -> str:
    name = column if re.match(FIELD, column) else re.sub(r"[^a-z0-9_]", "_", column.lower()).strip("_")
    if name in TAKEN or not re.match(FIELD, name):
        name = f"row_{name or 'column'}"
    while name in taken:
        name += "_"
    return name


def _uses(node: nodes.Node, parent: nodes.Node | None = None) -> Iterator[tuple[str, bool]]:
    """Every name that is read, and whether it is only written there, as the text that it is."""
    if isinstance(node, nodes.Name):
        if node.ctx == "load":
            yield node.name, _written(node, parent)
        return
    for child in node.iter_child_nodes():
        yield from _uses(child, node)


def _written(name: nodes.Name, parent: nodes.Node | None) -> bool:
    if isinstance(parent, nodes.Output | nodes.Concat):
        return True
    if isinstance(parent, nodes.Filter):
        return parent.node is name and parent.name in TEXT_FILTERS
    return isinstance(parent, nodes.Getattr) and parent.attr in ONLY_TEXTS


def unknown_methods(wording: str) -> list[str]:
    """Names of methods that a wording calls and no value of the template language has."""
    known = {name for methods in METHODS.values() for name in methods}
    calls = parsed(wording).find_all(nodes.Call)
    return [call.node.attr for call in calls if isinstance(call.node, nodes.Getattr) and call.node.attr not in known]
