"""The nouns of lint: Rule, Problem, Finding; and the Case that rules look at: a template, a task and a sample of what it renders."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from prompts.build import PromptBuilder
from prompts.types import Candidate, Prompt, Template
from tasks.types import Example, Task

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Problem:
    """What a check has to say."""

    message: str
    where: str = ""
    """The block, item or label that it is about."""
    severity: Severity | None = None
    """None: the rule's own."""


@dataclass(frozen=True)
class Finding:
    """A problem under its rule."""

    rule: str
    severity: Severity
    message: str
    where: str = ""


@dataclass(frozen=True)
class Vocabulary:
    """What the rules may ask of a tokenizer and its model."""

    name: str
    encode: Callable[[Sequence[str], bool], list[tuple[list[int], list[int]]]]
    """Texts, whether the tokenizer adds its special tokens → token ids and, for each, the character at which it ends."""
    raw: Callable[[str, bool], list[int]]
    """The same for one text, exactly as the tokenizer gives it."""
    window: int | None
    """Longest sequence in tokens; None when the model names none."""
    bos: int | None = None
    adds_bos: bool = False
    """Whether the tokenizer's own convention begins a text with `bos`."""


@dataclass(frozen=True)
class Written:
    """An example as the template writes it."""

    example: Example
    query: str
    answer: str
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True)
class Shown:
    """A sampled query with its demonstrations: one whole prompt per candidate (of the reference where there are none)."""

    written: Written
    demonstrations: tuple[Example, ...]
    prompts: tuple[Prompt, ...]


@dataclass(frozen=True)
class Case:
    """What is checked."""

    template: Template
    task: Task
    builder: PromptBuilder
    shots: int
    support: tuple[Written, ...]
    """Sampled from the demonstration split."""
    queries: tuple[Written, ...]
    """Sampled from the evaluated split."""
    shown: tuple[Shown, ...]
    """The first of the queries, as whole prompts."""
    vocabulary: Vocabulary | None = None

    @property
    def chat(self) -> bool:
        return self.builder.chat is not None

    @property
    def words(self) -> dict[str, str]:
        """Label → what is scored for it; empty where the answers are texts or letters."""
        verbalizer = self.builder.verbalizer
        return {} if verbalizer.answer == "letter" else verbalizer.words


@dataclass(frozen=True)
class Rule:
    """One thing that goes wrong with templates."""

    title: str
    severity: Severity
    explanation: str
    check: Callable[[Case], Iterator[Problem]] | None = None
    check_tokens: Callable[[Case, Vocabulary], Iterator[Problem]] | None = None
    """A check that needs a tokenizer. A rule with neither is found when the template is loaded and cannot be suppressed."""

    @property
    def needs_tokens(self) -> bool:
        return self.check_tokens is not None
