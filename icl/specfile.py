"""A file of a run's options: `task: movie-sentiment`, `shots: 4`, … `icl tune` writes one, `icl evaluate --spec` takes it.

A key is a field of `RunSpec`, spelt as in a sweep file. `calibration` may be one or a list.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

import yaml
from pydantic import TypeAdapter, ValidationError

from icl.spec import RunSpec
from tasks.cardfile import locate
from tasks.cardyaml import parse, read_text
from tasks.errors import IclError, shorten, unknown_name

WHAT = "a file of options"
OPEN = ("queries", "pool")
"""Numbers that may be `all`."""


def read_options(path: Path) -> dict[str, Any]:
    """Option → value as the command line takes it. Raises IclError, `FILE:LINE: …`, for an unknown field or a value of another type."""
    root, values = parse(path, read_text(path, WHAT), WHAT)
    out: dict[str, Any] = {}
    for name, value in values.items():
        try:
            _check(name, value)
        except IclError as error:
            raise IclError(f"{path}:{locate(root, (name,))[0]}: {error}") from None
        if value is not None and not (name == "pool" and value == "all"):
            out[name] = _as_option(name, value)
    return out


def _check(name: str, value: Any) -> None:
    hints = get_type_hints(RunSpec)
    if name not in hints:
        raise unknown_name("field", shorten(str(name)), hints)
    kind: Any = str | list[str] if name == "calibration" else hints[name]
    if (name in OPEN and value == "all") or (name == "labels" and value is True):
        return
    try:
        TypeAdapter(kind).validate_python(value, strict=True)
    except ValidationError as error:
        said = error.errors(include_url=False)[0]["msg"]
        raise IclError(f"{name}: {said[:1].lower()}{said[1:]}, but got {shorten(repr(value))}") from None


def _as_option(name: str, value: Any) -> Any:
    if isinstance(value, list):
        return ",".join(value)
    if name == "labels" and value is True:
        return "true"
    return str(value) if name == "queries" else value


def options_text(spec: RunSpec) -> str:
    """The file of a spec: every field that is not left open."""
    values = {f.name: getattr(spec, f.name) for f in fields(RunSpec)} | {"queries": "all" if spec.queries is None else spec.queries}
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items() if value not in (None, "", ())}
    return str(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))
