"""The nouns of a prompt: Template, Candidate, Prompt. The ground of the package: imports nothing from its siblings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

AnswerStyle = Literal["word", "letter", "number", "text"]
"""How a template writes an answer: the label's word, the letter of a choice, the number of a label, or the text itself."""
Mapped = Literal["own", "reversed", "arbitrary"]
"""Which words labels get: their own; those of the labels in reverse order; words that have nothing to do with them."""


@dataclass(frozen=True)
class Template:
    """One `.jinja` file: a YAML front matter and the named blocks `instruction`, `query`, `demonstration`, `channel`,
    `separator`."""

    name: str
    source: str
    """The whole file, front matter included."""
    body: str
    """The Jinja part, below the front matter."""
    inclusions: Mapping[str, str]
    """Text of every file that it includes or imports, by the name in the inclusion: read with the file, and rendered from here."""
    sha256: str
    """Of the file's bytes and those of its inclusions: part of every run's specification."""
    description: str
    kinds: tuple[str, ...]
    """Task kinds that it serves."""
    fields: tuple[str, ...]
    """Input fields that it needs."""
    used: Mapping[str, frozenset[str]]
    """Block → the names that it looks up: input fields and given names."""
    answer: AnswerStyle
    answer_prefix: str
    """What stands between the query side and an answer; it belongs to the scored span (a leading space changes the token)."""
    label_words: Mapping[str, str]
    """Label → word, where the template prefers other words than the task's card."""
    synonyms: Mapping[str, tuple[str, ...]]
    """Label → further words that count as it when it is scored; demonstrations show the one of `label_words`."""
    licence: str
    lint_ignore: tuple[str, ...] = ()
    """Rules of `icl prompts lint` that its author has decided against."""
    mapping: Mapped = "own"
    """For ablations: what a model does that cannot rely on what the words mean."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A possible answer: the label that a prediction names, and how it is written after the query side."""

    label: str
    text: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """One whole text that the model reads, in two parts: the candidates of a query share the first."""

    query_id: str
    candidate: str
    """Label of the candidate; empty when the model is to write the answer itself."""
    context: str
    """Everything before the answer."""
    answer: str
    """What is scored, its prefix included; empty for generation."""
    demonstrations: tuple[str, ...]
    """Ids of the demonstrations in the context, in order."""
    add_special_tokens: bool = True
    """Whether the tokenizer adds its own special tokens; False when a chat template has already written them."""

    @property
    def text(self) -> str:
        """The whole."""
        return self.context + self.answer

    @property
    def span(self) -> tuple[int, int]:
        """Characters [start, end) of the answer."""
        return len(self.context), len(self.context) + len(self.answer)
