"""Reads a task card from disk. Every complaint is one line that begins with the file and the line number."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from tasks.card import TaskCard
from tasks.cardparts import Choices, Part, SplitUse, Target
from tasks.cardsource import RULES, FilesSource, GeneratorSource, HubSource, PackageSource, Repair
from tasks.cardyaml import parse, read_text
from tasks.errors import IclError, shorten

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

MUST = {
    "string_type": "must be text",
    "dict_type": "must be a mapping (name: value)",
    "tuple_type": "must be a list",
    "model_type": "must be a mapping of keys to values",
    "model_attributes_type": "must be a mapping of keys to values",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "too_short": "must not be empty",
}
"""Type of pydantic's error → the rule in our words; all others keep pydantic's."""


def load_card(path: Path) -> TaskCard:
    """The checked card of a YAML file. Raises IclError: `FILE:LINE: what is wrong, and what to do`."""
    root, values = parse(path, read_text(path))
    try:
        return TaskCard.model_validate(values)
    except ValidationError as error:
        raise IclError(_first_complaint(path, root, error)) from None


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
    line, key = locate(root, loc)
    return f"{line}: {_say(found, key)}"


def _say(found: Any, key: str) -> str:
    kind, loc = found["type"], found["loc"]
    if kind == "extra_forbidden":
        return f"unknown key '{shorten(str(loc[-1]))}', {_nearest(str(loc[-1]), _known_keys(loc))}"
    if kind == "missing":
        inside = f" in '{key}'" if key else ""
        return f"missing key '{loc[-1]}'{inside}"
    if kind == "union_tag_not_found":
        return f"missing key 'type' in '{key}': one of hub, files, package, generator"
    message = _rule(found)
    got = "" if kind == "value_error" else f", but got {shorten(repr(found['input']))}"
    if (kind == "string_type" and isinstance(found["input"], bool | int | float)) or "datetime." in got:
        got += "; quote it"
    key = shorten(key)
    return f"{key}: {message}{got}" if key and not message.startswith(f"{key} ") else f"{message}{got}"


def _rule(found: Any) -> str:
    """What must hold, as a clause."""
    kind, context = found["type"], found.get("ctx", {})
    if kind == "string_pattern_mismatch":
        return RULES.get(context["pattern"], f"must match {context['pattern']}")
    if kind == "union_tag_invalid":
        return "'type' must be one of hub, files, package, generator"
    if kind == "literal_error":
        known = [word.strip("'") for word in context["expected"].replace(" or ", ", ").split(", ")]
        near = difflib.get_close_matches(str(found["input"]), known, n=1, cutoff=0.6)
        return f"must be one of {', '.join(known)}" + (f" (did you mean '{near[0]}'?)" if near else "")
    message = MUST.get(kind) or str(found["msg"]).removeprefix("Value error, ")
    return message[:1].lower() + message[1:]


def _nearest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name[:100], known, n=1, cutoff=0.6)
    return f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"


def _known_keys(loc: Sequence[int | str]) -> list[str]:
    model = next((MODELS[str(part)] for part in reversed(loc[:-1]) if str(part) in MODELS), TaskCard)
    if model is SplitUse and len(loc) > 3:
        model = Part
    names = [field.alias or name for name, field in model.model_fields.items()]
    return [*names, "from", "part"] if model is SplitUse else names


def locate(root: yaml.MappingNode, loc: Sequence[int | str]) -> tuple[int, str]:
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
