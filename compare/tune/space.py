"""What a search may choose from: for every name some values, or a span of numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from compare.tune.types import Value


@dataclass(frozen=True)
class Choices:
    """One of these. A single one is fixed."""

    values: tuple[Value, ...]

    @property
    def first(self) -> Value:
        """Where the search begins, unless it is told another value."""
        return self.values[0]

    def __contains__(self, value: object) -> bool:
        return any(value == own and isinstance(value, bool) == isinstance(own, bool) for own in self.values)

    def plain(self) -> Any:
        """As the file writes it."""
        return list(self.values) if len(self.values) > 1 else self.values[0]

    def suggest(self, trial: Any, name: str) -> None:
        """Has Optuna choose."""
        trial.suggest_categorical(name, self.values)


@dataclass(frozen=True)
class Span:
    """A number between two, both included; whole when both ends are. `log`: equal ratios are equally likely."""

    low: int | float
    high: int | float
    log: bool = False

    @property
    def whole(self) -> bool:
        """Whether it holds whole numbers only."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def first(self) -> Value:
        """The middle."""
        middle = (self.low * self.high) ** 0.5 if self.log else (self.low + self.high) / 2
        return round(middle) if self.whole else float(middle)

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high

    def plain(self) -> Any:
        """As the file writes it."""
        return {"from": self.low, "to": self.high, **({"log": True} if self.log else {})}

    def suggest(self, trial: Any, name: str) -> None:
        """Has Optuna choose."""
        (trial.suggest_int if self.whole else trial.suggest_float)(name, self.low, self.high, log=self.log)


Dimension = Choices | Span
Space = Mapping[str, Dimension]


def start(space: Space, defaults: Mapping[str, Value]) -> dict[str, Value]:
    """The setting that a search tries first: the usual one, as far as the space has it."""
    return {name: defaults[name] if name in defaults and defaults[name] in of else of.first for name, of in space.items()}


def plain(space: Space) -> dict[str, Any]:
    """As the file writes it."""
    return {name: of.plain() for name, of in space.items()}
