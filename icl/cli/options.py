"""Options and small helpers that several commands share."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from tasks.errors import IclError

Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON value on stdout, everything else on stderr.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Make another run even if this one is finished: everything is computed again.")]
Out = Annotated[Path, typer.Option("--out", help="Directory of runs.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", envvar="ICL_DATA_DIR", help="Local mirror of hub data: DIR/<dataset>/{train,validation,test}.jsonl."),
]
Workspace = Annotated[
    Path | None,
    typer.Option("--workspace", envvar="ICL_WORKSPACE", help="Directory of collected tasks ('icl tasks add'). [default: workspace]"),
]


def print_json(value: Any) -> None:
    """One JSON value on stdout."""
    json.dump(value, sys.stdout, ensure_ascii=False, indent=1, allow_nan=False)
    sys.stdout.write("\n")


@contextmanager
def when_interrupted(kept: str) -> Iterator[None]:
    """Ctrl-C in here ends the command with this line, unless what is interrupted says itself what it keeps."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(str(error) or kept) from error


def count_or_all(value: str, name: str) -> int | None:
    """`all` → None, a positive number → itself."""
    if value == "all":
        return None
    if not value.isdecimal() or int(value) < 1:
        raise IclError(f"--{name} must be a positive number or 'all', but is '{value}'")
    return int(value)


def names(value: str) -> tuple[str, ...]:
    """A comma-separated list."""
    return tuple(part.strip() for part in value.split(",") if part.strip())


def counts(value: str) -> tuple[int, ...]:
    """`1,4` → (1, 4). Raises IclError for anything but positive whole numbers."""
    parts = names(value)
    if not parts or not all(part.isdecimal() and int(part) >= 1 for part in parts):
        raise IclError(f"--k-shot must be positive whole numbers with commas between them, but is '{value}'; for example --k-shot 1,4")
    return tuple(int(part) for part in parts)


def given(context: typer.Context) -> set[str]:
    """Names of the parameters that stand on the command line."""
    return {name for name in context.params if getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"}
