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
Out = Annotated[Path, typer.Option("--out", help="Directory of runs.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", envvar="ICL_DATA_DIR", help="Local mirror of hub data: DIR/<dataset>/{train,validation,test}.jsonl."),
]


def print_json(value: Any) -> None:
    """One JSON value on stdout."""
    json.dump(value, sys.stdout, ensure_ascii=False, indent=1, allow_nan=False)
    sys.stdout.write("\n")


@contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C ends a command with one line that says what was kept, and exit code 130."""
    try:
        yield
    except KeyboardInterrupt as error:
        kept = str(error)
        print(f"icl: interrupted{f': {kept}' if kept else ''}", file=sys.stderr)
        raise typer.Exit(130) from error


def count_or_all(value: str, name: str) -> int | None:
    """`all` → None, a positive number → itself."""
    if value == "all":
        return None
    if not value.isdigit() or int(value) < 1:
        raise IclError(f"--{name} must be a positive number or 'all', but is '{value}'")
    return int(value)


def names(value: str) -> tuple[str, ...]:
    """A comma-separated list."""
    return tuple(part.strip() for part in value.split(",") if part.strip())
