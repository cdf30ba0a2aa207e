"""The parts of a task card between its source and its kind: which rows a split takes, where the answer and the choices stand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from tasks.cardsource import PERCENTS, RULES, Column, Line, Name, Strict, Text

Number = Annotated[float, Field(strict=True)]


def _percents(value: object) -> object:
    if isinstance(value, int | float):
        raise ValueError(f"{RULES[PERCENTS]}, but got {value}")
    return value


class Part(Strict):
    """Rows of one split of the source whose text falls into a range of percents, by the hash of the normalised text."""

    source: Name = Field(alias="from")
    part: Annotated[str, BeforeValidator(_percents), StringConstraints(pattern=PERCENTS)] = "0-100"

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        start, end = self.bounds
        if not 0 <= start < end <= 100:
            raise ValueError(f"part must be two percents in rising order, such as 0-60, but got {self.part}")
        return self

    @property
    def bounds(self) -> tuple[int, int]:
        start, end = self.part.split("-")
        return int(start), int(end)


def _part(value: object) -> object:
    return {"from": value} if isinstance(value, str) else value


PartOf = Annotated[Part, BeforeValidator(_part)]


class SplitUse(Strict):
    """Where a role's rows come from; `mirror` and `hub` differ when the hub repository cuts its data in another way."""

    mirror: PartOf
    hub: PartOf

    def of(self, variant: str) -> Part:
        """The part for a variant of the source: only a hub read from the hub itself uses `hub`."""
        return self.hub if variant == "hub" else self.mirror


def _both(value: object) -> object:
    if isinstance(value, Mapping) and ("mirror" in value or "hub" in value):
        return value
    return {"mirror": value, "hub": value}


Split = Annotated[SplitUse, BeforeValidator(_both)]


class Target(Strict):
    """The column with the answer; with thresholds, a number that is cut into labels (highest `at_least` first)."""

    field: Column
    at_least: dict[Text, Number] = Field(default_factory=dict)
    at_most: dict[Text, Number] = Field(default_factory=dict)
    otherwise: Text | None = None
    """The label between the thresholds; null drops the row."""
    options: tuple[Text, ...] = ()
    """Generation: where the data has a number, the answers that it counts."""
    first: Annotated[int, Field(ge=0, strict=True)] = 0
    """The number of the first choice or option in the data."""
    numbers: Literal["any", "typed", "only"] = "any"
    """Whether digits in a text count labels or choices as numbers do (any), are a text (typed), or are all that a text may be (only)."""
    white_space: Literal["strip", "keep"] | None = None
    """Whether white space around the answer is left out; as the card says unless given."""

    @property
    def rated(self) -> bool:
        return bool(self.at_least or self.at_most)

    @property
    def labels(self) -> list[str]:
        """Every label that the thresholds can give."""
        return [*self.at_least, *self.at_most, *([self.otherwise] if self.otherwise is not None else [])]

    @model_validator(mode="after")
    def _apart(self) -> Self:
        for name, thresholds in {"at_least": self.at_least, "at_most": self.at_most}.items():
            if not all(map(math.isfinite, thresholds.values())):
                raise ValueError(f"{name} thresholds must be finite numbers, but got {', '.join(map(str, thresholds.values()))}")
            if len(set(thresholds.values())) != len(thresholds):
                raise ValueError(f"{name} thresholds must differ, but got {', '.join(f'{k}: {v}' for k, v in thresholds.items())}")
        if self.at_least and self.at_most and min(self.at_least.values()) <= max(self.at_most.values()):
            raise ValueError("every at_least threshold must be above every at_most threshold")
        if self.otherwise is not None and not self.rated:
            raise ValueError("'otherwise' needs at_least or at_most")
        return self


def _target(value: object) -> object:
    return {"field": value} if isinstance(value, str | list) else value


TargetOf = Annotated[Target, BeforeValidator(_target)]


class Choices(Strict):
    """Where the choices stand: a list (`texts`, with their names in `keys`), a column each, or the right one and the wrong ones apart."""

    texts: Column | None = None
    columns: tuple[Line, ...] = ()
    """A column for every choice, in their order."""
    keys: Column | None = None
    names: tuple[Text, ...] = ()
    """What the answers call the choices, in their order, where no column says it."""
    answer: Literal["letter", "text"] = "letter"
    """Without keys and names an answer is a letter or a number; or the choice's own text or a number."""
    right: Annotated[int, Field(ge=0, le=25, strict=True)] | None = None
    """Position of the right choice, from 0, where it is the same in every row; then there is no target."""
    correct: Column | None = None
    incorrect: Column | None = None

    @property
    def decided(self) -> bool:
        """Whether the choices say themselves which one is right, without a target."""
        return self.correct is not None or self.right is not None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        apart = self.correct is not None and self.incorrect is not None
        if [self.texts is not None, bool(self.columns), apart].count(True) != 1 or (self.correct is None) != (self.incorrect is None):
            raise ValueError("give either 'texts' (and 'keys'), or 'columns', or both 'correct' and 'incorrect'")
        if self.keys is not None and self.texts is None:
            raise ValueError("keys are a column beside 'texts'; where the choices stand otherwise, list their 'names'")
        named = [name for name in ("keys", "names", "right") if getattr(self, name) not in (None, ())]
        if len(named) > 1 or (named and apart):
            raise ValueError(f"{named[0]} cannot stand beside {'correct' if apart else named[1]}: one of them says which choice is right")
        if self.answer == "text" and (named or apart):
            raise ValueError("answer: text is for choices without keys, names, right and correct")
        return self


def _choices(value: object) -> object:
    return {"texts": value} if isinstance(value, str) else value


ChoicesOf = Annotated[Choices, BeforeValidator(_choices)]
