"""The task card: what a YAML file may say about a task. The border where user text is checked (pydantic, no extra keys).

`tasks.cardfile.load_card` reads one from disk and gives every complaint the file and line it belongs to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from tasks.cardsource import Column, FieldName, Line, Name, Source, Strict, Text

CardKind = Literal["classification", "multiple_choice", "generation"]
"""The kinds that a card can describe so far; `tasks.types.Kind` has room for more."""

Role = Literal["demonstration", "validation", "test"]
METRICS: dict[str, tuple[str, ...]] = {
    "classification": ("accuracy", "macro_f1", "mcc", "nll", "ece", "label_bias"),
    "multiple_choice": ("accuracy", "nll", "ece"),
    "generation": ("exact_match", "token_f1"),
}
"""Metrics that a kind can be measured by; all of them unless the card names some."""
TEMPLATES = {"classification": "classify-plain", "multiple_choice": "qa-cloze", "generation": "word-plain"}
"""The template of a card that names none."""


class Part(Strict):
    """Rows of one split of the source whose text falls into a range of percents, by the hash of the normalised text."""

    source: Line = Field(alias="from")
    part: Annotated[str, StringConstraints(pattern=r"^\d{1,3}-\d{1,3}$")] = "0-100"

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
    at_least: dict[Text, float] = Field(default_factory=dict)
    at_most: dict[Text, float] = Field(default_factory=dict)
    otherwise: Text | None = None
    """The label between the thresholds; null drops the row."""

    @property
    def rated(self) -> bool:
        return bool(self.at_least or self.at_most)

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if self.at_least and self.at_most and min(self.at_least.values()) <= max(self.at_most.values()):
            raise ValueError("every at_least threshold must be above every at_most threshold")
        if self.otherwise is not None and not self.rated:
            raise ValueError("'otherwise' needs at_least or at_most")
        return self


def _target(value: object) -> object:
    return {"field": value} if isinstance(value, str | list) else value


class Choices(Strict):
    """Where the choices stand: a list (`texts`, with their names in `keys`), or the right one and the wrong ones apart."""

    texts: Column | None = None
    keys: Column | None = None
    correct: Column | None = None
    incorrect: Column | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        listed, apart = self.texts is not None, self.correct is not None and self.incorrect is not None
        if listed == apart or (self.correct is None) != (self.incorrect is None):
            raise ValueError("give either 'texts' (and 'keys') or both 'correct' and 'incorrect'")
        return self


def _choices(value: object) -> object:
    return {"texts": value} if isinstance(value, str) else value


def _named(value: object) -> object:
    return {name: name for name in value} if isinstance(value, list) else value


class TaskCard(Strict):
    """One task, as its author describes it."""

    name: Name
    kind: CardKind
    description: Line
    source: Source
    splits: dict[Role, Split]
    inputs: Annotated[dict[FieldName, Column], BeforeValidator(_named), Field(min_length=1)]
    """Canonical field name → column path; a list keeps the column names."""
    target: Annotated[Target, BeforeValidator(_target)] | None = None
    """Not needed where `choices` says which one is correct."""
    answers: Column | None = None
    """Generation: a column with every accepted answer."""
    choices: Annotated[Choices, BeforeValidator(_choices)] | None = None
    distractors: Annotated[int, Field(ge=0, le=25)] = 0
    """Generation: how many answers of other rows of the same split stand beside the right one when scored as multiple choice."""
    labels: Annotated[dict[Text, Text], BeforeValidator(_named)] = Field(default_factory=dict)
    """Label → label word; the i-th label has id i. A list uses the labels as words."""
    label_aliases: dict[Text, Text] = Field(default_factory=dict)
    """Another spelling in the data → label."""
    metrics: tuple[Line, ...] = ()
    template: Line = ""
    licence: Line = "not stated"
    citation: Line = "not stated"
    related: tuple[Name, ...] = ()
    overlaps: tuple[Name, ...] = ()
    notes: str = ""
    answer_pattern: str = ""
    max_new_tokens: Annotated[int, Field(ge=1, le=4096)] = 16
    stop: tuple[str, ...] = ("\n",)

    @model_validator(mode="after")
    def _fits_kind(self) -> Self:
        for problem in _problems(self):
            raise ValueError(problem)
        return self

    def split_names(self, variant: str) -> list[str]:
        """Names of the source's splits that the roles use, each once, in the card's order."""
        return list(dict.fromkeys(use.of(variant).source for use in self.splits.values()))


def _problems(card: TaskCard) -> list[str]:
    """What the keys of a card say against each other, as sentences that begin with the key."""
    found: list[str] = []
    if "demonstration" not in card.splits or len(card.splits) < 2:
        found.append("splits must name the role demonstration and at least one of validation, test")
    if card.target is None and (card.choices is None or card.choices.correct is None):
        found.append("target is missing: name the column with the answer")
    if card.kind == "classification":
        found += _label_problems(card)
    elif card.labels or card.label_aliases or (card.target is not None and card.target.rated):
        found.append(f"labels and thresholds are for kind classification, but the kind is {card.kind}")
    if (card.choices is not None) != (card.kind == "multiple_choice"):
        found.append(f"choices must be given for kind multiple_choice and for no other, but the kind is {card.kind}")
    if card.kind != "generation" and (card.distractors or card.answers or card.answer_pattern):
        found.append(f"distractors, answers and answer_pattern are for kind generation, but the kind is {card.kind}")
    unknown = [name for name in card.metrics if name not in METRICS[card.kind]]
    if unknown:
        found.append(f"metrics must be among {', '.join(METRICS[card.kind])}, but got {', '.join(unknown)}")
    try:
        if card.answer_pattern and re.compile(card.answer_pattern).groups < 1:
            found.append("answer_pattern must have a group that holds the answer, such as 'is (\\w+)'")
    except re.error as error:
        found.append(f"answer_pattern is not a regular expression: {error}")
    return found + _part_problems(card)


def _label_problems(card: TaskCard) -> list[str]:
    known = set(card.labels)
    if len(known) < 2:
        return ["labels must list at least two labels"]
    if len(set(card.labels.values())) != len(known):
        return ["labels must have label words that differ"]
    named = [*card.label_aliases.values()]
    if card.target is not None:
        named += [*card.target.at_least, *card.target.at_most, *([card.target.otherwise] if card.target.otherwise else [])]
    stray = [label for label in named if label not in known]
    return [f"labels must list every label that the card names, but not {', '.join(stray)}"] if stray else []


def _part_problems(card: TaskCard) -> list[str]:
    """Two roles must not take the same rows."""
    for variant in ("mirror", "hub"):
        uses = [(role, use.of(variant)) for role, use in card.splits.items()]
        for i, (role, a) in enumerate(uses):
            for other, b in uses[:i]:
                if a.source == b.source and a.bounds[0] < b.bounds[1] and b.bounds[0] < a.bounds[1]:
                    return [
                        f"splits must not share rows, but {other} and {role} both take percents of '{a.source}' ({b.part} and {a.part}); "
                        "write parts such as {from: " + a.source + ", part: 0-60}"
                    ]
    return []
