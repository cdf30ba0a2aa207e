"""What a template of the harness says about rows, where it is simple enough to be a line of a card: a column, a list, a position."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, TemplateSyntaxError, nodes

from tasks.errors import IclError

MAPPING_METHODS = frozenset(dir(dict))
"""Names that `x.name` would find on a mapping before its keys."""
STRIPS = ("strip", "lstrip", "rstrip")

_ENVIRONMENT = Environment(keep_trailing_newline=True)


def parsed(template: str) -> nodes.Template:
    """The syntax tree, as the harness parses it. Raises IclError for what is no template."""
    try:
        return _ENVIRONMENT.parse(template)
    except TemplateSyntaxError as error:
        raise IclError(f"not a valid template: {error.message}") from None


def sole_expression(template: str) -> nodes.Expr | None:
    """The expression of a template that is nothing but `{{ … }}`; a bare word is the column of that name."""
    if template.isidentifier():
        return nodes.Name(template, "load", lineno=1)
    body = parsed(template).body
    if len(body) == 1 and isinstance(body[0], nodes.Output) and len(body[0].nodes) == 1:
        only = body[0].nodes[0]
        return None if isinstance(only, nodes.TemplateData) else only
    return None


def path_of(node: nodes.Node) -> str | None:
    """The column path (`choices.text`, `answers.0`) that an expression reads, or nothing if it does more than that."""
    if isinstance(node, nodes.Name):
        return node.name
    if isinstance(node, nodes.Getattr) and node.attr not in MAPPING_METHODS:
        return _further(node.node, node.attr)
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        key = node.arg.value
        if isinstance(key, str) and key and "." not in key and not key.isdigit():
            return _further(node.node, key)
        if type(key) is int and key >= 0:
            return _further(node.node, str(key))
    if isinstance(node, nodes.Filter) and node.node is not None:
        if node.name == "list" and not node.args:
            return path_of(node.node)
        if node.name == "map" and not node.args and [pair.key for pair in node.kwargs] == ["attribute"]:
            name = constant(node.kwargs[0].value)
            return _further(node.node, name) if isinstance(name, str) and name.isidentifier() else None
    return None


def _further(node: nodes.Node, part: str) -> str | None:
    path = path_of(node)
    return None if path is None else f"{path}.{part}"


def constant(node: nodes.Node) -> Any:
    """The value of an expression without names, or None."""
    try:
        return node.as_const() if isinstance(node, nodes.Expr) else None
    except nodes.Impossible:
        return None


def without(node: nodes.Node, *filters: str, calls: Sequence[str] = ()) -> nodes.Node:
    """The expression below these filters and below calls of these methods, all without arguments."""
    while True:
        if isinstance(node, nodes.Filter) and node.name in filters and node.node is not None and not node.args and not node.kwargs:
            node = node.node
        elif isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr) and node.node.attr in calls and not node.args:
            node = node.node.node
        else:
            return node


def strips(node: nodes.Node) -> bool:
    """Whether white space around a value is left out on the way."""
    calls = [*node.find_all(nodes.Getattr), *([node] if isinstance(node, nodes.Getattr) else [])]
    filters = [*node.find_all(nodes.Filter), *([node] if isinstance(node, nodes.Filter) else [])]
    return any(call.attr in STRIPS for call in calls) or any(found.name == "trim" for found in filters)


def counted(node: nodes.Node) -> tuple[str, int] | None:
    """Column path and number of the first, for `x`, `x|int`, `x - 1`."""
    first = 0
    node = without(node, "int")
    if isinstance(node, nodes.Sub) and type(constant(node.right)) is int:
        first = constant(node.right)
        node = without(node.left, "int")
    path = path_of(node)
    return None if path is None or first < 0 else (path, first)


def position_in(node: nodes.Node) -> tuple[nodes.Node, str] | None:
    """The list and the column path of the thing looked for, for `LIST.index(x)`."""
    if not (isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr) and node.node.attr == "index"):
        return None
    if len(node.args) != 1 or node.kwargs or node.dyn_args or node.dyn_kwargs:
        return None
    path = path_of(without(node.args[0], "trim", "string", calls=STRIPS))
    return None if path is None else (node.node.node, path)


def chosen_from(node: nodes.Node) -> tuple[list[str], str, int] | None:
    """The texts, the column path and the number of the first, for `['A', 'B'][x]`."""
    if not isinstance(node, nodes.Getitem):
        return None
    texts, number = constant(node.node), counted(node.arg)
    if number is None or not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        return None
    return texts, *number


def names_in(node: nodes.Node) -> list[str] | None:
    """Constant texts that positions are counted in: a list of them, or the characters of a text."""
    value = constant(node)
    if isinstance(value, str | list | tuple) and value and all(isinstance(item, str) for item in value):
        return list(value)
    return None
