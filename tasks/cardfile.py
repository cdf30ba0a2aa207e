"""Reads a task card from disk. Every complaint is one line that begins with the file and the line number."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from tasks.card import Choices, Part, SplitUse, Target, TaskCard
from tasks.cardsource import FilesSource, GeneratorSource, HubSource, PackageSource, Repair
from tasks.errors import IclError

MAX_BYTES = 1_000_000
MAX_DEPTH = 20

MODELS: dict[str, type[BaseModel]] = {
    "hub": HubSource,
    "files": FilesSource,
    "package": PackageSource,
    "generator": GeneratorSource,
    "repairs": Repair,
    "target": Target,
    "choices": Choices,
    "splits": SplitUse,
}
"""Part of an error's location → the model whose keys are meant there; the card itself where none fits."""


def load_card(path: Path) -> TaskCard:
    """The checked card of a YAML file. Raises IclError: `FILE:LINE: what is wrong, and what to do`."""
    text = read_text(path)
    root = _compose(path, text)
    try:
        return TaskCard.model_validate(_construct(path, text))
    except ValidationError as error:
        raise IclError(_first_complaint(path, root, error)) from None


def read_text(path: Path) -> str:
    """The file's text, at most 1 MB of UTF-8."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise IclError(f"{path}: there is no such file") from None
    except OSError as error:
        raise IclError(f"{path}: cannot be read ({error.strerror})") from error
    if len(data) > MAX_BYTES:
        raise IclError(f"{path}: a task card must be at most {MAX_BYTES} bytes; put the data into a file beside it")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise IclError(f"{path}:{line}: a task card must be UTF-8, but byte 0x{data[error.start]:02x} is not") from None


def _compose(path: Path, text: str) -> yaml.MappingNode:
    """The node tree, for line numbers; refuses what YAML allows and a card does not need."""
    try:
        _check_events(path, text)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise _syntax_error(path, error) from None
    if not isinstance(root, yaml.MappingNode):
        raise IclError(f"{path}:1: a task card must be a mapping of keys to values (name: ..., kind: ...)")
    _check_repeats(path, root)
    return root


def _check_events(path: Path, text: str) -> None:
    """No aliases (a few lines of them can stand for billions of values) and no deep nesting (it would exhaust the stack)."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent):
            raise IclError(f"{path}:{line}: YAML aliases (*{event.anchor}) are not allowed in a task card; write the value out")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise IclError(f"{path}:{line}: a task card must nest at most {MAX_DEPTH} levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _check_repeats(path: Path, node: yaml.Node) -> None:
    """YAML silently keeps the last of two equal keys; a card must not have them."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check_repeats(path, item)
    elif isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise IclError(f"{path}:{line}: a key must be a plain word, not a list or a mapping")
            if key.value in seen:
                raise IclError(f"{path}:{line}: key '{key.value}' stands twice (first on line {seen[key.value]})")
            seen[key.value] = line
            _check_repeats(path, value)


def _construct(path: Path, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise _syntax_error(path, error) from None
    except ValueError as error:  # such as a date that does not exist
        raise IclError(f"{path}: a value cannot be read ({error}); quote it") from None


def _syntax_error(path: Path, error: yaml.YAMLError) -> IclError:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    line = f":{mark.line + 1}" if mark else ""
    return IclError(f"{path}{line}: not valid YAML: {problem}")


def _first_complaint(path: Path, root: yaml.MappingNode, error: ValidationError) -> str:
    """One complaint of several: unknown keys first, since a misspelt key is often why another is missing."""
    errors = sorted(error.errors(include_url=False), key=lambda found: found["type"] != "extra_forbidden")
    lines = list(dict.fromkeys(_complaint(root, found) for found in errors))
    more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
    return f"{path}:{lines[0]}{more}"


def _complaint(root: yaml.MappingNode, found: Any) -> str:
    loc = found["loc"]
    if found["type"] == "value_error":  # a rule between keys: its sentence begins with the key that is to blame
        loc = (*loc, str(found["ctx"]["error"]).split(" ")[0].rstrip(":"))
    line, key = _locate(root, loc)
    return f"{line}: {_say(found, key)}"


def _say(found: Any, key: str) -> str:
    kind, loc = found["type"], found["loc"]
    if kind == "extra_forbidden":
        known = _known_keys(loc)
        near = difflib.get_close_matches(str(loc[-1]), known, n=1, cutoff=0.6)
        advice = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"
        return f"unknown key '{loc[-1]}', {advice}"
    if kind == "missing":
        inside = f" in '{key}'" if key else ""
        return f"missing key '{loc[-1]}'{inside}"
    if kind == "union_tag_not_found":
        return f"missing key 'type' in '{key}': one of hub, files, package, generator"
    message = str(found["msg"]).removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    shown = repr(found["input"])
    got = "" if kind == "value_error" else f", but got {shown if len(shown) <= 60 else shown[:57] + '...'}"
    return f"{key}: {message}{got}" if key and not message.startswith(f"{key} ") else f"{message}{got}"


def _known_keys(loc: Sequence[int | str]) -> list[str]:
    model = next((MODELS[str(part)] for part in reversed(loc[:-1]) if str(part) in MODELS), TaskCard)
    if model is SplitUse and len(loc) > 3:
        model = Part
    names = [field.alias or name for name, field in model.model_fields.items()]
    return [*names, "from", "part"] if model is SplitUse else names


def _locate(root: yaml.MappingNode, loc: Sequence[int | str]) -> tuple[int, str]:
    """Line of the deepest node that the location reaches, and the name of its key. Parts that are no key (a union's tag) are skipped."""
    node: yaml.Node = root
    line, key = root.start_mark.line + 1, ""
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            for name, value in node.value:
                if name.value == str(part):
                    line, key, node = name.start_mark.line + 1, str(part), value
                    break
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
    return line, key
