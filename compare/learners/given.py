"""Settings of a learner by name and value, as a file gives them (`icl compare --settings`, `icl tune`): checked, and what is left out is
filled in from the first entry of the learner's grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from compare.backbones import BACKBONES
from compare.learners import Family, get_family
from compare.learners.lora import MODULES
from tasks.errors import IclError, shorten, unknown_name

Settings = Mapping[str, Any]
MOST = 1_000_000
"""No rate, rank or number of steps is larger by intention."""
WORDS = {"backbone": tuple(BACKBONES), "modules": MODULES}
"""Settings that are words → the words."""


def settings_of(learner: str, values: Settings) -> Any:
    """An entry for the learner's grid. Raises IclError for a name that it has no setting of, and for a value that cannot be one."""
    first = get_family(learner).grid[0]
    hints, known = get_type_hints(type(first)), [field.name for field in fields(first)]
    for name, value in values.items():
        if name not in known:
            hint = f"(settings of {learner}: {', '.join(known) or 'none'})"
            raise unknown_name(f"setting of {learner}", shorten(name), known, hint)
        check_value(learner, name, hints[name], value)
    return replace(first, **{name: _as(hints[name], value) for name, value in values.items()})


def check_value(learner: str, name: str, kind: Any, value: Any) -> None:
    """Raises IclError for a value of another type, an unknown word, and a number that is not above zero."""
    try:
        found = TypeAdapter(kind).validate_python(_as(kind, value), strict=True)
    except ValidationError:
        said = {int: "a whole number", float: "a number", bool: "true or false"}.get(kind, "text")
        raise IclError(f"{name} of {learner} must be {said}, but got {shorten(repr(value))}") from None
    if name in WORDS and found not in WORDS[name]:
        raise unknown_name(f"{name} of {learner}", shorten(found), WORDS[name])
    if kind in (int, float) and not 0 < found <= MOST:
        raise IclError(f"{name} of {learner} must be above 0 and at most {MOST:,}, but is {found:g}")


def _as(kind: Any, value: Any) -> Any:
    """YAML reads 1e-4, without a point, as text."""
    if kind is float and isinstance(value, str | int) and not isinstance(value, bool):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def with_settings(learner: str, family: Family, given: Mapping[str, Settings]) -> Family:
    """The family; where settings are given, they are its whole grid, and nothing is searched.

    Raises IclError as `settings_of` does, and for a family that adapts something else than the settings are for.
    """
    if learner not in given:
        return family
    if type(family.grid[0]) is not type(get_family(learner).grid[0]):
        raise IclError(f"settings of {learner} are for a head on frozen features; leave out --adapts, or its settings")
    return replace(family, grid=(settings_of(learner, given[learner]),))


def filled_in(given: Mapping[str, Settings]) -> dict[str, dict[str, Any]]:
    """Learner → all of its settings."""
    return {learner: asdict(settings_of(learner, values)) for learner, values in given.items()}
