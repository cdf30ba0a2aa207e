"""Files of a run: JSON whole or not at all, and one line for what the operating system or a damaged file refuses."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tasks import IclError

UNFINISHED = ".unfinished-"
"""In the name of a file that is being written."""


@contextmanager
def writing(place: Path, instead: str = "choose another --out") -> Iterator[None]:
    """Turns what the operating system refuses while something is written at `place` into one line that says what to do instead."""
    try:
        yield
    except OSError as error:
        named = error.filename is not None and UNFINISHED not in str(error.filename)
        raise IclError(f"cannot write {error.filename if named else place}: {error.strerror or error}; {instead}") from error


AGAIN = "make the run again with --fresh"
"""What to do about a damaged file, where nothing else is said."""


def damaged(path: Path, reason: str, instead: str = AGAIN) -> IclError:
    """What is said about a file of a run that is not what was written."""
    return IclError(f"{path} is damaged: {reason}; {instead}")


def read_json(path: Path, *needed: str, instead: str = AGAIN) -> dict[str, Any]:
    """A JSON object from a file of a run, which has the keys `needed`. Raises IclError when it is missing or damaged; `instead`: what to do
    about damage."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise IclError(f"{path.parent} is not a finished run: it has no {path.name}") from error
    except UnicodeDecodeError as error:
        raise damaged(path, "it is no text", instead) from error
    except json.JSONDecodeError as error:
        raise damaged(path, f"line {error.lineno} is not valid JSON ({error.msg})", instead) from error
    if not isinstance(values, dict):
        raise damaged(path, f"it must hold a JSON object, but holds a {type(values).__name__}", instead)
    if missing := [key for key in needed if key not in values]:
        raise damaged(path, f"it has no '{missing[0]}'", instead)
    return values


def write_json(path: Path, values: Any) -> None:
    """Whole or not at all, the same bytes for the same values. Raises IclError when it cannot be written."""
    unfinished = path.with_name(f".{path.name}{UNFINISHED}{os.getpid()}")
    text = json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False)
    with writing(path):
        try:
            unfinished.write_text(text + "\n", encoding="utf-8")
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
