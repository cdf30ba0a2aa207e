"""One YAML file of the harness with what it includes: every key with the place where it stands, and no Python run.

The rules are the harness's: an included file gives what the including one does not say itself, later inclusions win over earlier ones,
paths are taken from the including file's directory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tasks.errors import IclError, shorten

MAX_BYTES = 1_000_000
MAX_DEPTH = 20


@dataclass(frozen=True)
class Entry:
    """The value of a top-level key, and `FILE:LINE` of the key."""

    value: Any
    where: str


@dataclass(frozen=True)
class Function:
    """What a `!function` names: Python, which is never run here."""

    name: str
    where: str


class _Loader(yaml.SafeLoader):
    """Plain values and `!function`. Aliases are refused: a few lines of them can stand for billions of values."""

    path: Path
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            raise _Refused(line, f"YAML aliases (*{event.anchor}) are not read; write the value out")
        if self.depth >= MAX_DEPTH:
            raise _Refused(line, f"a task must nest at most {MAX_DEPTH} levels")
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


class _Refused(Exception):
    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line


def _function(loader: _Loader, node: yaml.Node) -> Function:
    mark: Any = node.start_mark
    return Function(str(node.value), f"{loader.path}:{mark.line + 1}")


_Loader.add_constructor("!function", _function)


def read_yaml(path: Path) -> dict[str, Entry]:
    """Key → value and place, inclusions merged. Raises IclError with file and line for what cannot be read."""
    return _read(path, ())


def _read(path: Path, including: tuple[Path, ...]) -> dict[str, Entry]:
    if path.resolve() in including:
        raise IclError(f"{path}: the file includes itself, by way of {', '.join(other.name for other in including)}")
    own = _parse(path)
    merged: dict[str, Entry] = {}
    if "include" in own:
        included = own.pop("include")
        names = included.value if isinstance(included.value, list) else [included.value]
        for name in names:
            if not isinstance(name, str):
                raise IclError(f"{included.where}: include must name files, but got {shorten(repr(name))}")
            merged |= _read(path.parent / name, (*including, path.resolve()))
        merged.pop("task_list", None)
    return {**merged, **own}


def _parse(path: Path) -> dict[str, Entry]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise IclError(f"{path}: cannot be read ({error.strerror})") from None
    if len(data) > MAX_BYTES:
        raise IclError(f"{path}: a task must be at most {MAX_BYTES} bytes")
    try:
        loader = _Loader(data.decode("utf-8-sig"))
        loader.path = path
        root = loader.get_single_node()
        if not isinstance(root, yaml.MappingNode):
            raise _Refused(1, "a task must be a mapping of keys to values (task: …, dataset_path: …)")
        lines = {key.value: key.start_mark.line + 1 for key, _ in root.value}
        values: Mapping[str, Any] = loader.construct_document(root)
    except _Refused as error:
        raise IclError(f"{path}:{error.line}: {error}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise IclError(f"{path}{f':{mark.line + 1}' if mark else ''}: not valid YAML: {problem}") from None
    except ValueError as error:  # not UTF-8; a date that does not exist
        raise IclError(f"{path}: cannot be read ({shorten(str(error))})") from None
    return {str(key): Entry(value, f"{path}:{lines.get(str(key), 1)}") for key, value in values.items()}


def functions(key: str, value: Any) -> Iterator[tuple[str, Function]]:
    """Every `!function` below a key, with the path of keys to it."""
    if isinstance(value, Function):
        yield key, value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from functions(f"{key}.{name}", item)
    elif isinstance(value, list):
        for item in value:
            yield from functions(key, item)
