"""What several evaluations in one process need not do twice: read a task, draw its episodes, load its model.

Files are taken not to change while it lives; so it lives as long as one command.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast

Value = TypeVar("Value")


class Shared:
    """Values by what decides them. Errors are not remembered."""

    def __init__(self) -> None:
        self._known: dict[Hashable, Any] = {}
        self._model: tuple[Hashable, Any] | None = None

    def once(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The value of that key, made the first time that it is asked for."""
        if key not in self._known:
            self._known[key] = make()
        return cast(Value, self._known[key])

    def model(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The same for a model in memory. One at a time: the one before goes before the next is made."""
        if self._model is None or self._model[0] != key:
            self._model = None
            self._model = (key, make())
        return cast(Value, self._model[1])
