"""The task card: what a YAML file may say about a task. The border where user text is checked (pydantic, no extra keys).

`tasks.cardfile.load_card` reads one from disk and gives every complaint the file and line it belongs to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from tasks.cardparts import ChoicesOf, Split, TargetOf
from tasks.cardsource import Column, FieldName, Line, Name, Source, Strict, Text
from tasks.errors import shorten
from tasks.types import ClassPart

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
TAKEN = ("task", "labels", "choices", "letters", "query", "answer")
"""Names that mean something else in a template."""
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
ONLY_GENERATION = ("distractors", "answers", "answer_pattern", "max_new_tokens", "stop", "cut_answers")


def _named(value: object) -> object:
    if not isinstance(value, list):
        return value
    twice = sorted({str(name) for name in value if value.count(name) > 1})
    if twice:
        raise ValueError(f"must be a list of different names, but {', '.join(twice)} stands twice")
    if stray := [name for name in value if isinstance(name, list | dict)]:
        raise ValueError(f"must be a list of names, but got {stray[0]!r}")
    return {name: name for name in value}


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _readable(text: str) -> str:
    if found := CONTROL.search(text.replace("\n", "").replace("\t", "")):
        raise ValueError(f"must be plain text, but holds the control character {found.group()!r}")
    return text


class TaskCard(Strict):
    """One task, as its author describes it."""

    name: Name
    kind: CardKind
    description: Line
    source: Source
    splits: dict[Role, Split]
    inputs: Annotated[dict[FieldName, Column], BeforeValidator(_named), Field(min_length=1)]
    """Canonical field name → column path; a list keeps the column names."""
    as_json: tuple[FieldName, ...] = ()
    """Fields that templates get as JSON, whatever their columns hold, to be read with `fromjson`."""
    white_space: Literal["strip", "keep"] = "strip"
    """Whether white space around texts, choices and answers is left out."""
    target: TargetOf | None = None
    """Not needed where `choices` says which one is correct."""
    answers: Column | None = None
    """Generation: a column with every accepted answer."""
    choices: ChoicesOf | None = None
    distractors: Annotated[int, Field(ge=0, le=25, strict=True)] = 0
    """Generation: how many answers of other rows of the same split stand beside the right one when scored as multiple choice."""
    labels: Annotated[dict[Text, Text], BeforeValidator(_named)] = Field(default_factory=dict)
    """Label → label word; the i-th label has id i. A list uses the labels as words."""
    label_aliases: dict[Text, Text] = Field(default_factory=dict)
    """Another spelling in the data → label."""
    classes: dict[ClassPart, tuple[Text, ...]] = Field(default_factory=dict)
    """Many labels: which of them are meta-trained on, chosen with, held out."""
    metrics: tuple[Line, ...] = ()
    template: Line = ""
    licence: Line = "not stated"
    citation: Line = "not stated"
    related: tuple[Name, ...] = ()
    overlaps: tuple[Name, ...] = ()
    notes: Annotated[str, AfterValidator(_readable)] = ""
    answer_pattern: str = ""
    max_new_tokens: Annotated[int, Field(ge=1, le=4096, strict=True)] = 16
    stop: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ("\n",)
    cut_answers: Literal["refuse", "keep"] = "refuse"
    """What becomes of a row whose every answer `stop` would cut: kept, it can be shown, and never be answered right."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for problem in _problems(self):
            raise ValueError(problem)
        return self

    def split_names(self, variant: str) -> list[str]:
        """Names of the source's splits that the roles use, each once, in the card's order."""
        return list(dict.fromkeys(use.of(variant).source for use in self.splits.values()))


def _problems(card: TaskCard) -> Iterator[str]:
    """What the keys of a card say against each other, as sentences that begin with the key."""
    if "demonstration" not in card.splits or len(card.splits) < 2:
        yield "splits must name the role demonstration and at least one of validation, test"
    yield from _part_problems(card)
    yield from _input_problems(card)
    if card.kind == "classification":
        yield from _label_problems(card)
    elif card.labels or card.label_aliases or card.classes or (card.target is not None and card.target.rated):
        yield f"labels, classes and thresholds are for kind classification, but the kind is {card.kind}"
    yield from _choice_problems(card)
    yield from _generation_problems(card)
    unknown = [name for name in card.metrics if name not in METRICS[card.kind]]
    if unknown:
        yield f"metrics must be among {', '.join(METRICS[card.kind])}, but got {', '.join(unknown)}"
    if len(set(card.metrics)) != len(card.metrics):
        yield f"metrics must differ, but got {', '.join(card.metrics)}"


def _part_problems(card: TaskCard) -> Iterator[str]:
    """Two roles must not take the same rows."""
    for variant in ("mirror", "hub"):
        uses = [(role, use.of(variant)) for role, use in card.splits.items()]
        for i, (role, a) in enumerate(uses):
            for other, b in uses[:i]:
                if a.source == b.source and a.bounds[0] < b.bounds[1] and b.bounds[0] < a.bounds[1]:
                    yield (
                        f"splits must not share rows, but {other} and {role} both take percents of '{a.source}' ({b.part} and {a.part}); "
                        "write parts such as {from: " + a.source + ", part: 0-60}"
                    )
                    return


def _input_problems(card: TaskCard) -> Iterator[str]:
    if taken := [name for name in card.inputs if name in TAKEN]:
        yield f"inputs must not be called {', '.join(taken)}, which means something else in a template; write another name: column"
    if stray := [name for name in card.as_json if name not in card.inputs]:
        yield f"as_json must list fields of 'inputs', but not {', '.join(stray)}"
    if card.target is None:
        if card.choices is None or not card.choices.decided:
            yield "target is missing: name the column with the answer"
        columns = (card.choices.correct if card.choices is not None else None) or ()
    else:
        columns = (*card.target.field, *(card.answers or ()))
    for name, paths in card.inputs.items():
        if shown := [path for path in paths if path in columns]:
            yield f"inputs must not show the answer, but '{name}' takes the column '{shown[0]}', which holds it"


def _label_problems(card: TaskCard) -> Iterator[str]:
    known = set(card.labels)
    if len(known) < 2:
        yield "labels must list at least two labels"
    for label, word in card.labels.items():
        if any(not text or text.strip() != text or CONTROL.search(text) for text in (label, word)):
            got = f"{shorten(repr(label))}: {shorten(repr(word))}"
            yield f"labels must be one line without white space around it, but got {got}; a template adds the space before a word"
    if len(set(card.labels.values())) != len(known):
        yield "labels must have label words that differ"
    thresholds = card.target.labels if card.target is not None and card.target.rated else []
    yield from _class_problems(card)
    if stray := [label for label in [*card.label_aliases.values(), *thresholds] if label not in known]:
        yield f"labels must list every label that the card names, but not {', '.join(stray)}"
    if thresholds and card.label_aliases:
        yield "label_aliases are for labels that the data names, but the target has thresholds"
    if thresholds and (never := [label for label in card.labels if label not in thresholds]):
        yield f"labels must be reached by a threshold each, but none of at_least, at_most, otherwise gives {', '.join(never)}"
    if both := [alias for alias, label in card.label_aliases.items() if alias in known and alias != label]:
        yield f"label_aliases must be other spellings, but {', '.join(both)} is a label of its own"


def _class_problems(card: TaskCard) -> Iterator[str]:
    if not card.classes:
        return
    if missing := [part for part in ("train", "validation", "test") if len(card.classes.get(part, ())) < 2]:
        yield f"classes must name two labels or more for each of train, validation, test, but not for {', '.join(missing)}"
    named = [label for labels in card.classes.values() for label in labels]
    if unknown := [label for label in named if label not in card.labels]:
        yield f"classes must be labels of the card, but {', '.join(unknown)} is none"
    if twice := sorted({label for label in named if named.count(label) > 1}):
        yield f"classes must be disjoint, but {', '.join(twice)} stands twice: what is held out must not be trained on"


def _choice_problems(card: TaskCard) -> Iterator[str]:
    if card.choices is None and card.kind == "multiple_choice":
        yield "choices must be given for kind multiple_choice: the column with their texts, or {correct: COLUMN, incorrect: COLUMN}"
    elif card.choices is not None and card.kind != "multiple_choice":
        yield f"choices are for kind multiple_choice, but the kind is {card.kind}"
    elif card.choices is not None and card.choices.decided and card.target is not None:
        yield "target must be left out where choices name the correct one"
    if card.target is not None and card.target.first and card.kind == "classification":
        yield "target: 'first' counts choices or options; for labels write label_aliases"


def _generation_problems(card: TaskCard) -> Iterator[str]:
    if card.kind != "generation":
        if card.target is not None and card.target.options:
            yield f"target: options are for kind generation, but the kind is {card.kind}"
        if given := [name for name in ONLY_GENERATION if name in card.model_fields_set]:
            yield f"{given[0]} is for kind generation, but the kind is {card.kind}"
        return
    if "" in card.stop:
        yield "stop must list texts that are not empty; [] means that only max_new_tokens ends an answer"
    try:
        if card.answer_pattern and re.compile(card.answer_pattern).groups < 1:
            yield "answer_pattern must have a group that holds the answer, such as 'is (\\w+)'"
    except (re.error, RecursionError, OverflowError) as error:
        yield f"answer_pattern is not a regular expression: {error}"
    for name in ("answers", "distractors"):
        if card.answer_pattern and getattr(card, name):
            yield f"{name} cannot stand beside answer_pattern, which takes the one accepted answer out of the target"
