"""What tells cells apart: the fields that differ, their values in the file's order, and both in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from icl.spec import RunSpec


def varying(specs: Sequence[RunSpec]) -> dict[str, tuple[Any, ...]]:
    """Fields that differ, but for the seed → values: numbers from small to large, all others in the order of their first appearance."""
    found = {f.name: tuple(dict.fromkeys(getattr(spec, f.name) for spec in specs)) for f in fields(RunSpec) if f.name != "seed"}
    return {name: _in_order(values) for name, values in found.items() if len(values) > 1}


def _in_order(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """All of a number that may be left open comes last."""
    if all(isinstance(value, int) or value is None for value in values) and not any(isinstance(value, bool) for value in values):
        return tuple(sorted(values, key=lambda value: (value is None, value or 0)))
    return values


def word(field: str, value: Any) -> str:
    """A value as the file writes it."""
    if isinstance(value, tuple):
        return "+".join(value)
    if value is None:
        return "all" if field in ("queries", "pool") else "auto"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) if value != "" else "default"


def words(spec: RunSpec, names: Sequence[str]) -> str:
    """`shots 4, template sentiment-plain`; the whole sweep's name for a cell without a choice."""
    return ", ".join(f"{name} {word(name, getattr(spec, name))}" for name in names) or "the only cell"
