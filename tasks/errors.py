"""The one family of errors that a user's mistake can raise.

Every message states the rule, then the values, then what to do. The command line prints it in one line and exits with code 2;
everything that is not an `IclError` is a defect of this program and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class IclError(Exception):
    """A mistake that the user can repair: a wrong name, a broken file, too few examples, no network."""


class DataError(IclError):
    """The data of a task breaks a rule of its card."""


class FetchError(IclError):
    """Something could not be fetched, or what came is not what was expected."""


def unknown_name(what: str, name: str, known: Iterable[str], hint: str = "") -> IclError:
    """An error that names the nearest known names, and all of them when they are few."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if not names:
        advice = "there is none"
    elif near:
        advice = f"did you mean {' or '.join(near)}?"
    elif len(names) <= 12:
        advice = f"known: {', '.join(names)}"
    else:
        advice = f"{len(names)} are known"
    return IclError(f"unknown {what} '{name}': {advice}{' ' + hint if hint else ''}")


def shorten(text: str, most: int = 60) -> str:
    """The beginning of a text that a message quotes: a value may be a megabyte, or hold characters that steer a terminal."""
    shown = "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text[:most])
    return shown if len(text) <= most else f"{shown}…"
