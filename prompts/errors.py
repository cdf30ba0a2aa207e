"""Mistakes of templates that lint names by a rule of their own. On the command line they are errors like any other."""

from __future__ import annotations

from tasks.errors import IclError


class AnswerInReach(IclError):
    """A block that stands before the answer asks for it."""


class UndefinedField(IclError):
    """A template asks for a name that the task does not have."""
