"""YAML as a task card may use it: no aliases, no tags, no repeated keys, little depth. Every complaint is `FILE:LINE: ...`.

A few lines of aliases can stand for billions of values, deep nesting exhausts the stack, a tag asks for other types than a card has, and
YAML keeps the last of two equal keys without a word.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tasks.errors import IclError, shorten

MAX_BYTES = 200_000
MAX_DEPTH = 20
CARD = "a task card"
"""What a file is called in messages, unless whoever reads it says otherwise."""
TEXTS = ("labels", "label_aliases")
"""Keys of a card below which a number stands for what is written: 1.10 must not become 1.1."""


def read_text(path: Path, what: str = CARD) -> str:
    """The file's text, at most MAX_BYTES of UTF-8. `what` it is, for messages."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise IclError(f"{path}: there is no such file") from None
    except OSError as error:
        raise IclError(f"{path}: cannot be read ({error.strerror})") from error
    if len(data) > MAX_BYTES:
        raise IclError(f"{path}: {what} must be at most {MAX_BYTES} bytes; put the data into a file beside it")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        byte = f"byte 0x{data[error.start]:02x}"
        raise IclError(f"{path}:{line}: {what} must be UTF-8, but {byte} is not; save the file as UTF-8") from None


def parse(path: Path, text: str, what: str = CARD) -> tuple[yaml.MappingNode, dict[str, Any]]:
    """The node tree, for line numbers, and its plain values. Raises IclError for what is no YAML or no mapping."""
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        if not isinstance(root, yaml.MappingNode):
            raise _Refused(1, "a task card must be a mapping of keys to values, as in 'name: mine'")
        _check_repeats(root)
        for key, value in root.value:
            _check_scalars(loader, key.value, value)
        values: dict[str, Any] = loader.construct_document(root)
    except _Refused as error:
        raise IclError(f"{path}:{error.line}: {str(error).replace(CARD, what)}") from None
    except yaml.YAMLError as error:
        raise _syntax_error(path, text, error) from None
    return root, values


class _Refused(Exception):
    """What YAML allows and a card does not need."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line


class _Loader(yaml.SafeLoader):
    """Refuses while it reads, before anything grows."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            raise _Refused(line, f"YAML aliases (*{event.anchor}) are not allowed in a task card; write the value out")
        if tag := getattr(event, "tag", None):
            raise _Refused(line, f"YAML tags ({shorten(tag)}) are not allowed in a task card; quote the value if it is text")
        if self.depth >= MAX_DEPTH:
            raise _Refused(line, f"a task card must nest at most {MAX_DEPTH} levels")
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


def _check_repeats(node: yaml.Node) -> None:
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check_repeats(item)
    elif isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise _Refused(line, "a key must be a plain word, not a list or a mapping")
            if key.value in seen:
                raise _Refused(line, f"key '{shorten(key.value)}' stands twice (first on line {seen[key.value]})")
            seen[key.value] = line
            _check_repeats(value)


def _check_scalars(loader: yaml.SafeLoader, key: str, value: yaml.Node) -> None:
    """Values that cannot be read at all, such as a date that does not exist; and a label may be a number only as it is written."""
    for node in _scalars(value):
        line = node.start_mark.line + 1
        try:
            read = loader.construct_object(node)
        except ValueError as error:
            raise _Refused(line, f"'{shorten(node.value)}' cannot be read ({str(error).partition(';')[0]}); quote it") from None
        if key in TEXTS and isinstance(read, int | float) and not isinstance(read, bool) and str(read) != node.value:
            raise _Refused(line, f"{key} must be texts, but YAML reads {shorten(node.value)} as the number {read}; quote it")


def _scalars(node: yaml.Node) -> Iterator[yaml.ScalarNode]:
    if isinstance(node, yaml.ScalarNode):
        yield node
    elif isinstance(node, yaml.MappingNode):
        for pair in node.value:
            for part in pair:
                yield from _scalars(part)
    else:
        for item in node.value:
            yield from _scalars(item)


def _syntax_error(path: Path, text: str, error: yaml.YAMLError) -> IclError:
    if isinstance(error, yaml.reader.ReaderError):
        line = text[: error.position].count("\n") + 1
        return IclError(f"{path}:{line}: not valid YAML: the character U+{ord(text[error.position]):04X} must not stand in a text file")
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    return IclError(f"{path}{f':{mark.line + 1}' if mark else ''}: not valid YAML: {problem}")
