"""From the text of a template to its blocks, each a syntax tree of its own.

A block's tree has the block's body and those of the file's macros, imports and settings that it needs, but not the other blocks. So the
query side cannot reach what only a demonstration knows, and what a block uses is known by name before anything is rendered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateSyntaxError, meta, nodes

from prompts.language import FILTERS, GLOBALS, JINJA_FILTERS, JINJA_TESTS, TESTS
from prompts.sandbox import Sandbox, metered
from tasks.errors import IclError, unknown_name

BLOCKS = ("instruction", "query", "demonstration", "channel", "separator")
SHARED = (nodes.Macro, nodes.Assign, nodes.AssignBlock, nodes.Import, nodes.FromImport)
"""What may stand outside the blocks."""
INCLUSIONS = (nodes.Include, nodes.Import, nodes.FromImport)
COUNTERS = frozenset({"namespace", "cycler", "joiner"})
"""What makes things that change while a block is rendered."""
RULE = "the same item must give the same text, with work in proportion to it: 'The sandbox' in docs/templates.md lists what there is"

_PARSER = Sandbox({})


@dataclass(frozen=True)
class Source:
    """A text of the template language, and how its mistakes are called."""

    text: str
    where: str
    offset: int = 0
    """Lines before the text: the front matter."""

    def parsed(self) -> nodes.Template:
        """The syntax tree. Raises IclError, with the line, for bad syntax and for what is not part of the language."""
        with self.mistakes():
            tree = _PARSER.parse(self.text)
            for node in tree.find_all(nodes.Node):
                if problem := _problem(node):
                    raise TemplateSyntaxError(problem, node.lineno)
        return tree

    @contextmanager
    def mistakes(self) -> Iterator[None]:
        """Whatever the compilers of Jinja and Python say against the text, as one line."""
        try:
            yield
        except TemplateSyntaxError as error:
            raise IclError(f"{self.where}:{error.lineno + self.offset}: {' '.join(str(error.message).split())}") from error
        except (RecursionError, MemoryError) as error:
            raise IclError(f"{self.where}: expressions or loops are nested too deeply; write it in smaller steps") from error
        except (SyntaxError, ValueError) as error:
            raise IclError(f"{self.where}: not a valid template: {getattr(error, 'msg', error)}") from error


def _problem(node: nodes.Node) -> str:
    """Why a node is not part of the language, or nothing."""
    if isinstance(node, nodes.Extends):
        return "'extends' is not supported; use 'include' or 'import'"
    if isinstance(node, nodes.Filter | nodes.Test):
        what, ours, jinja = ("filter", FILTERS, JINJA_FILTERS) if isinstance(node, nodes.Filter) else ("test", TESTS, JINJA_TESTS)
        if node.name in ours:
            return ""
        left_out = f"the {what} '{node.name}' of Jinja is not part of the template language ({RULE})"
        return left_out if node.name in jinja else str(unknown_name(what, node.name, ours))
    if isinstance(node, nodes.Name) and node.name in ("lipsum", "self"):
        return f"'{node.name}' is not part of the template language ({RULE})"
    if isinstance(node, nodes.EvalContextModifier):
        return "'autoescape' is not supported: a prompt is not HTML"
    if isinstance(node, INCLUSIONS) and file_name(node) is None:
        return "an inclusion must name one file in quotes: a name that is worked out cannot count in the template's sha256"
    return ""


def file_name(node: nodes.Node) -> str | None:
    """The file that an inclusion names; None when it does not name one."""
    template = getattr(node, "template", None)
    return template.value if isinstance(template, nodes.Const) and isinstance(template.value, str) else None


def split_blocks(source: Source) -> dict[str, nodes.Template]:
    """Block name → its own syntax tree. Raises IclError, with the line, for unknown and repeated blocks and text outside of them."""
    tree = source.parsed()
    shared: list[nodes.Node] = []
    blocks: dict[str, nodes.Block] = {}
    with source.mistakes():
        for node in tree.body:
            if isinstance(node, nodes.Block):
                _check_block(node, blocks)
                blocks[node.name] = node
            elif isinstance(node, SHARED):
                shared.append(node)
            elif not isinstance(node, nodes.Output) or not all(
                isinstance(n, nodes.TemplateData) and not n.data.strip() for n in node.nodes
            ):
                known = ", ".join(BLOCKS)
                raise TemplateSyntaxError(
                    f"only macros, imports and 'set' stand outside; text must stand inside a block ({known})", node.lineno
                )
        needed = {name: _needed(shared, block.body) for name, block in blocks.items()}
        metered(tree)
        trees = {name: nodes.Template([*needed[name], *block.body], lineno=1) for name, block in blocks.items()}
        for part in trees.values():
            part.set_environment(_PARSER)
    return trees


def _check_block(node: nodes.Block, before: Mapping[str, nodes.Block]) -> None:
    if node.name not in BLOCKS:
        raise TemplateSyntaxError(str(unknown_name("block", node.name, BLOCKS)), node.lineno)
    if node.name in before:
        raise TemplateSyntaxError(f"block '{node.name}' stands twice", node.lineno)
    for inner in node.find_all(nodes.Block):
        raise TemplateSyntaxError(f"block '{inner.name}' must not stand inside block '{node.name}'", inner.lineno)


def _needed(shared: Sequence[nodes.Node], body: Sequence[nodes.Node]) -> list[nodes.Node]:
    """Those of the shared definitions that a block's body uses, directly or through each other, in their order.

    A setting that calls a macro may count something up that others read; then all are kept.
    """
    counting = any(isinstance(node, nodes.Import | nodes.FromImport) or _read(node) & COUNTERS for node in shared)
    if counting and any(_calls(node) for node in shared):
        return list(shared)
    places: dict[str, list[int]] = {}
    for i, node in enumerate(shared):
        for name in _defined(node):
            places.setdefault(name, []).append(i)
    chosen: set[int] = set()
    waiting = [name for node in body for name in _read(node)]
    while waiting:
        for i in places.pop(waiting.pop(), ()):
            if i not in chosen:
                chosen.add(i)
                waiting.extend(_read(shared[i]))
    return [shared[i] for i in sorted(chosen)]


def _calls(node: nodes.Node) -> bool:
    """Whether evaluating a setting runs something besides its own expression."""
    if not isinstance(node, nodes.Assign | nodes.AssignBlock):
        return False
    calls = [call.node for call in _all(node, nodes.Call)]
    plain = all(isinstance(callee, nodes.Name) and callee.name in GLOBALS for callee in calls)
    return not plain or any(True for _ in _all(node, nodes.Include))


def names_used(tree: nodes.Template, files: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """Names that a tree looks up without defining them, those of the files that it includes among them (file → its names)."""
    own = meta.find_undeclared_variables(tree)
    included = [file_name(node) for node in _all(tree, INCLUSIONS) if node.with_context]
    shown = {name for file in included for name in files.get(file or "", ())}
    defined = {node.name for node in tree.find_all(nodes.Name) if node.ctx != "load"}
    return frozenset((own | (shown - defined)) - set(GLOBALS))


def _read(node: nodes.Node) -> set[str]:
    return {name.name for name in _all(node, nodes.Name) if name.ctx == "load"} | {name.name for name in _all(node, nodes.NSRef)}


def _defined(node: nodes.Node) -> set[str]:
    if isinstance(node, nodes.Macro):
        return {node.name}
    if isinstance(node, nodes.Import):
        return {node.target}
    if isinstance(node, nodes.FromImport):
        return {name if isinstance(name, str) else name[1] for name in node.names}
    assert isinstance(node, nodes.Assign | nodes.AssignBlock)
    return {name.name for kind in (nodes.Name, nodes.NSRef) for name in _all(node.target, kind)}


def _all(node: nodes.Node, kind: Any) -> Iterator[Any]:
    if isinstance(node, kind):
        yield node
    yield from node.find_all(kind)
