"""The sweep file: what all cells have, a grid, single cells, what is left out. The border where its text is checked.

A field is any of a run's spec, named as the options of `icl evaluate` are; a cell has one calibration.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from icl.spec import RunSpec
from tasks.cardfile import locate
from tasks.cardyaml import parse, read_text
from tasks.errors import IclError, shorten, unknown_name

MOST_CELLS = 2_000
"""Two million pairs of rows."""
FIELDS = tuple(f.name for f in fields(RunSpec))
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,59}")
WHAT = "a sweep file"
RULES = {
    "list_type": "must be a list",
    "dict_type": "must be a mapping of fields to values",
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "too_short": "must not be empty",
}
"""Type of pydantic's error → the rule in our words."""

Settings = dict[str, Any]


class _File(BaseModel):
    """The file's own keys; every other key is a field that all cells have."""

    model_config = ConfigDict(extra="allow", strict=True)

    name: str = ""
    metric: str = ""
    grid: dict[str, list[Any]] = Field(default_factory=dict)
    cells: list[dict[str, Any]] = Field(default_factory=list)
    exclude: list[dict[str, Any]] = Field(default_factory=list)


OWN_KEYS = tuple(_File.model_fields)


@dataclass(frozen=True)
class Sweep:
    """What a sweep file says."""

    name: str
    metric: str
    """What cells are compared by; empty for the first metric of each task's card."""
    cells: tuple[RunSpec, ...]
    """All different, in the file's order, each with one calibration."""
    repeated: int
    """Cells that the file says more than once."""
    text: str
    """The file itself."""


def read_sweep(path: Path) -> Sweep:
    """The cells of a sweep file. Raises IclError, `FILE:LINE: …`, for an unknown field, a wrong type, a cell that no run can be."""
    text = read_text(path, WHAT)
    root, values = parse(path, text, WHAT)
    try:
        file = _File.model_validate(values)
        base = _settings(file.model_extra or {}, ())
        for name in file.grid:
            _check_field(name, ("grid", name))
        lists = {name: _values(name, listed) for name, listed in file.grid.items()}
        own = [_settings(cell, ("cells", i)) for i, cell in enumerate(file.cells)]
        exclude = [_settings(cell, ("exclude", i)) for i, cell in enumerate(file.exclude)]
        _check_size(lists, own)
        if file.name and not NAME.fullmatch(file.name):
            raise _Wrong(("name",), f"name must be letters, digits, '_', '.' and '-', at most 60, but is '{shorten(file.name)}'")
        cells = list(_cells(base, lists, own, exclude))
    except ValidationError as error:
        found = error.errors(include_url=False)[0]
        raise _at(path, root, tuple(found["loc"]), _say(found)) from None
    except _Wrong as error:
        raise _at(path, root, error.place, str(error)) from None
    different = tuple(dict.fromkeys(cells))
    if not different:
        raise _at(path, root, ("exclude",), "exclude must leave a cell, but it leaves none")
    return Sweep(file.name or _name_of(path), file.metric, different, len(cells) - len(different), text)


class _Wrong(Exception):
    """A mistake and its place in the file."""

    def __init__(self, place: tuple[int | str, ...], text: str) -> None:
        super().__init__(text)
        self.place = place


def _cells(base: Settings, lists: dict[str, list[Any]], own: list[Settings], exclude: list[Settings]) -> Iterator[RunSpec]:
    """The grid's product without what is excluded, then the single cells."""
    used = [False] * len(exclude)
    if lists or not own:
        for values in product(*lists.values()):
            settings = {**base, **dict(zip(lists, values, strict=True))}
            out = [i for i, partial in enumerate(exclude) if _fits(partial, settings)]
            for i in out:
                used[i] = True
            if not out:
                yield _cell(settings, ("grid",))
    for i, partial in enumerate(exclude):
        if not used[i]:
            raise _Wrong(("exclude", i), f"exclude must fit a cell of the grid, but {said(partial)} fits none")
    for i, settings in enumerate(own):
        yield _cell({**base, **settings}, ("cells", i))


def _fits(partial: Settings, settings: Settings) -> bool:
    default = RunSpec("").to_json() | {"calibration": "none"}
    return all(settings.get(name, default[name]) == value for name, value in partial.items())


def _cell(settings: Settings, place: tuple[int | str, ...]) -> RunSpec:
    if "task" not in settings:
        raise _Wrong((), "every cell needs a task, but none is named; write 'task: movie-sentiment', or list some under grid")
    try:
        return RunSpec(**{**settings, "calibration": (settings.get("calibration", "none"),)})
    except IclError as error:
        raise _Wrong(place, f"cell {said(settings)}: {error}") from None


def _settings(values: Mapping[str, Any], place: tuple[int | str, ...]) -> Settings:
    for name in values:
        _check_field(name, (*place, name), () if place else OWN_KEYS)
    return {name: _value(name, value, (*place, name)) for name, value in values.items()}


def _check_field(name: str, place: tuple[int | str, ...], also: tuple[str, ...] = ()) -> None:
    if name not in FIELDS:
        raise _Wrong(place, str(unknown_name("field", shorten(name), (*FIELDS, *also))))


def _values(name: str, listed: list[Any]) -> list[Any]:
    if not listed:
        raise _Wrong(("grid", name), f"{name}: a list of values must not be empty")
    values = [_value(name, value, ("grid", name, i)) for i, value in enumerate(listed)]
    for i, value in enumerate(values):
        if value in values[:i]:
            raise _Wrong(("grid", name, i), f"{name}: the value {shorten(str(value))} stands twice")
    return values


def _value(name: str, value: Any, place: tuple[int | str, ...]) -> Any:
    """A value of a field: `all` is None where a number may be left open, and YAML's true is the word where labels are meant."""
    if isinstance(value, list):
        raise _Wrong(place, f"{name} must be one value here; put a list of values under grid")
    if name in ("queries", "pool") and value == "all":
        return None
    if name == "labels" and value is True:
        return "true"
    try:
        return _types()[name].validate_python(value, strict=True)
    except ValidationError as error:
        raise _Wrong(place, f"{name} {_say(error.errors(include_url=False)[0])}") from None


@cache
def _types() -> dict[str, TypeAdapter[Any]]:
    hints = {**get_type_hints(RunSpec), "calibration": str}
    return {name: TypeAdapter(hints[name]) for name in FIELDS}


def _say(found: Any) -> str:
    message = RULES.get(found["type"]) or str(found["msg"])
    return f"{message[:1].lower() + message[1:]}, but got {shorten(repr(found['input']))}"


def _at(path: Path, root: Any, place: tuple[int | str, ...], text: str) -> IclError:
    line, key = locate(root, place)
    named = "" if not key or text.startswith((f"{key} ", f"{key}:", "unknown", "cell ", "exclude ")) else f"{key}: "
    return IclError(f"{path}:{line}: {named}{text}")


def _check_size(lists: dict[str, list[Any]], own: list[Settings]) -> None:
    count = len(own)
    size = 1
    for values in lists.values():
        size *= len(values)
    count += size if lists else 0
    if count > MOST_CELLS:
        raise _Wrong(("grid",), f"a sweep must have at most {MOST_CELLS:,} cells, but this one has {count:,}; list fewer values")


def _name_of(path: Path) -> str:
    found = NAME.search(re.sub(r"[^A-Za-z0-9_.-]+", "-", path.stem))
    return found.group() if found else "sweep"


def said(settings: Mapping[str, Any]) -> str:
    """`shots 4, selector knn`."""
    return ", ".join(f"{name} {'all' if value is None else value}" for name, value in settings.items())
