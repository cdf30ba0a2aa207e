"""The nouns of a task: Example, Query, Examples, Task, Episode. The ground of the package: imports nothing from its siblings."""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, overload

if TYPE_CHECKING:
    from datasets import Dataset

Kind = Literal["classification", "multiple_choice", "generation", "regression", "image_classification"]
KINDS: tuple[Kind, ...] = ("classification", "multiple_choice", "generation", "regression", "image_classification")
ClassPart = Literal["train", "validation", "test"]
ROLES = ("demonstration", "validation", "test")

LETTERS = string.ascii_uppercase
"""Names of the choices of a multiple-choice example, by position."""


@dataclass(frozen=True, slots=True)
class Query:
    """What a selector and the query side of a template may see of an example: everything but its answer."""

    id: str
    inputs: Mapping[str, str]
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Example:
    """One item of a task."""

    id: str
    """Unique within the task, stable across runs."""
    inputs: Mapping[str, str]
    """Named input fields, as the card names them."""
    target: str
    """Classification: a label of the task. Multiple choice: the letter of the right choice. Generation: the reference text."""
    choices: tuple[str, ...] = ()
    """Multiple choice (and generation scored as such): the texts of the choices, in the order of their letters."""
    answers: tuple[str, ...] = ()
    """Generation: every text that counts as right; the first is what a demonstration shows unless `target` says more."""

    def query(self) -> Query:
        """The same item without its answer."""
        return Query(self.id, self.inputs, self.choices)


class Examples(Sequence[Example]):
    """A read-only sequence of examples over an Arrow table (`datasets.Dataset`): a row becomes an `Example` when it is asked for.

    The table has the columns `id`, `target`, `inputs` (struct of strings), `choices` and `answers` (lists of strings).
    """

    def __init__(self, table: Dataset) -> None:
        self.table = table
        self._position: dict[str, int] | None = None

    def __len__(self) -> int:
        return len(self.table)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> list[Example]: ...
    def __getitem__(self, index: int | slice) -> Example | list[Example]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return _example(self.table[index])

    def __iter__(self) -> Iterator[Example]:
        for row in self.table:
            yield _example(row)

    @property
    def ids(self) -> list[str]:
        return list(self.table["id"])

    @property
    def targets(self) -> list[str]:
        return list(self.table["target"])

    def by_id(self, id: str) -> Example:
        """The example of that id; KeyError when there is none."""
        if self._position is None:
            self._position = {name: i for i, name in enumerate(self.ids)}
        return self[self._position[id]]

    def __contains__(self, item: object) -> bool:
        return any(item == example for example in self)


def _example(row: Mapping[str, Any]) -> Example:
    return Example(row["id"], row["inputs"], row["target"], tuple(row["choices"] or ()), tuple(row["answers"] or ()))


@dataclass(frozen=True)
class Task:
    """What is to be learnt, loaded: a card and its data."""

    name: str
    kind: Kind
    description: str
    fields: tuple[str, ...]
    """Names of the input fields, in the card's order."""
    labels: tuple[str, ...]
    """Classification: the label set, in the card's order (never from a `set`). Otherwise empty."""
    label_words: Mapping[str, str]
    """Label → the word that stands for it in a prompt."""
    splits: Mapping[str, Examples]
    """Role (demonstration, validation, test) → examples. Disjoint by normalised text."""
    default_template: str
    metrics: tuple[str, ...]
    licence: str
    citation: str
    source: str
    """Where the data came from, in one line: a mirror directory, a hub repository and revision, a package and version."""
    fingerprint: str
    """sha256 over what the card says of the task and over all examples: equal fingerprints, equal task."""
    notes: str = ""
    related: tuple[str, ...] = ()
    """Other tasks that a meta-learner may train on when this one is evaluated."""
    classes: Mapping[ClassPart, tuple[str, ...]] = field(default_factory=dict)
    """Classification with many labels: `train`, `validation`, `test` → labels to meta-train on, choose with, hold out; disjoint."""
    overlaps: tuple[str, ...] = ()
    """Tasks whose texts overlap this one's: never train on one and test on the other."""
    max_new_tokens: int = 0
    """Generation: the longest answer, in tokens."""
    stop: tuple[str, ...] = ()
    """Generation: the answer ends before the first of these strings."""
    answer_pattern: str = ""
    """Generation: regular expression whose group 1 (its last match) is the answer within a text; empty means the whole text."""
    dropped: Mapping[str, int] = field(default_factory=dict)
    """Why rows of the source were left out → how many."""
    remarks: tuple[str, ...] = ()
    """What the data lacks and whoever reads a result should know: labels without rows."""

    def evaluated_split(self) -> str:
        """The role that is evaluated unless one is asked for: `test` where the card has one, else `validation`."""
        return "test" if "test" in self.splits else "validation"


def with_labels(task: Task, labels: Sequence[str]) -> Task:
    """The task with only these labels in play, in the order given; itself when that changes nothing."""
    if tuple(labels) == task.labels or not labels:
        return task
    return replace(task, labels=tuple(labels), label_words={label: task.label_words[label] for label in labels})


@dataclass(frozen=True, slots=True)
class Episode:
    """One draw: a support pool that every method may see, and queries. Support and query are disjoint.

    `support` and `query` hold ids of rows in the roles `support_split` and `query_split`; `support` of None means the whole split
    (stored by reference). On disk one line of JSON.
    """

    id: str
    task: str
    support_split: str
    support: tuple[str, ...] | None
    query_split: str
    query: tuple[str, ...]
    labels: tuple[str, ...] = ()
    """Labels in play (N ways); empty for tasks without a label set."""
    task_fingerprint: str = ""
