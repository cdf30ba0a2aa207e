"""From demonstrations and a query to whole prompts: plain text, or chat turns through a tokenizer's chat template.

The text is always built whole, one per candidate, and the scored span is given in characters of that text. Nothing is stripped, joined
or collapsed after rendering: what the template wrote is what the model reads.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from prompts.channel import Channel
from prompts.errors import UndefinedField
from prompts.render import Renderer
from prompts.template import GIVEN
from prompts.types import AnswerStyle, Candidate, Prompt, Template
from tasks.errors import IclError
from tasks.types import LETTERS, Example, Query, Task

Message = dict[str, str]
ARBITRARY = ("apple", "river", "chair", "stone", "bread", "cloud", "horse", "music", "paper", "garden", "winter", "doctor")
"""Words without a bearing on any task's labels: common, short, each beginning with another token."""
ApplyChat = Callable[[list[Message]], str]
"""Chat turns → text, up to the point where the assistant's answer begins."""


@dataclass(frozen=True)
class Verbalizer:
    """Label → how it is written as an answer, for one template and one task."""

    answer: AnswerStyle
    words: dict[str, str]
    """Label → what is written for it, the word or the letter; empty unless the task has labels."""
    synonyms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Label → further words; the label's probability is the sum over all of its words."""
    targets_are_letters: bool = False
    """Multiple choice: a target is the letter of a choice. Elsewhere a target "C" is just a text."""

    def candidates(self, query: Query) -> tuple[Candidate, ...]:
        """The possible answers of a query, in the order of the task's labels or of the item's choices; a label once per word."""
        if self.words:
            return tuple(Candidate(label, w) for label, word in self.words.items() for w in (word, *self.synonyms.get(label, ())))
        letters = LETTERS[: len(query.choices)]
        if self.answer == "letter":
            return tuple(Candidate(letter, letter) for letter in letters)
        return tuple(Candidate(letter, text) for letter, text in zip(letters, query.choices, strict=True))

    def write(self, example: Example) -> str:
        """The right answer, as a demonstration shows it."""
        if self.words:
            return self.words[example.target]
        if self.targets_are_letters and self.answer != "letter":
            return example.choices[LETTERS.index(example.target)]
        return example.target


def make_verbalizer(template: Template, task: Task) -> Verbalizer:
    """How the answers of a task are written. Raises IclError for label words or letters that do not serve it."""
    if task.kind != "classification":
        if template.answer == "number" or template.mapping != "own":
            what = "answers with numbers" if template.answer == "number" else f"maps labels ({template.mapping})"
            raise IclError(f"template '{template.name}' {what}, which needs labels, but task '{task.name}' is of kind {task.kind}")
        return Verbalizer(template.answer, {}, targets_are_letters=task.kind == "multiple_choice")
    words = label_words(template, task)
    _check_synonyms(template, words)
    if template.answer == "number":
        return Verbalizer("number", {label: str(number) for number, label in enumerate(task.labels, 1)})
    if template.answer != "letter":
        return Verbalizer("word", words, {label: template.synonyms[label] for label in task.labels if label in template.synonyms})
    if len(task.labels) > len(LETTERS):
        raise IclError(
            f"template '{template.name}' answers with letters, which serve at most {len(LETTERS)} labels, "
            f"but task '{task.name}' has {len(task.labels)}"
        )
    return Verbalizer("letter", dict(zip(task.labels, LETTERS, strict=False)))


def label_words(template: Template, task: Task) -> dict[str, str]:
    """Label → word, the template's where it has its own. Raises IclError when they do not name exactly the task's labels."""
    missing = [label for label in task.labels if label not in template.label_words]
    if template.label_words and missing:
        raise IclError(f"template '{template.name}' gives label words, but none for {', '.join(missing)} of task '{task.name}'")
    words = {label: template.label_words.get(label, task.label_words[label]) for label in task.labels}
    if len(set(words.values())) != len(words):
        raise IclError(f"label words must differ, but those of task '{task.name}' are {', '.join(words.values())}")
    return mapped(words, template, task)


def _check_synonyms(template: Template, words: Mapping[str, str]) -> None:
    """Several words for a label stand for it as words, and for no other label."""
    further = [word for label in words for word in template.synonyms.get(label, ())]
    if further and (template.answer in ("letter", "number") or template.mapping != "own"):
        other = f"answer '{template.answer}'" if template.answer in ("letter", "number") else f"mapping '{template.mapping}'"
        raise IclError(f"template '{template.name}' gives several words for a label, which {other} does not use; give one word each")
    every = [*words.values(), *further]
    if twice := [word for word in further if every.count(word) > 1]:
        raise IclError(f"template '{template.name}': the words of labels must all differ, but '{twice[0]}' stands twice")


def mapped(words: dict[str, str], template: Template, task: Task) -> dict[str, str]:
    """Label → word under the template's `mapping` (Wei et al. 2023: flipped and semantically unrelated labels)."""
    if template.mapping == "reversed":
        return dict(zip(words, reversed(words.values()), strict=True))
    if template.mapping == "arbitrary":
        if len(words) > len(ARBITRARY):
            raise IclError(
                f"mapping 'arbitrary' has words for at most {len(ARBITRARY)} labels, but task '{task.name}' has {len(words)}; "
                "write label_words of your own"
            )
        return dict(zip(words, ARBITRARY, strict=False))
    return words


class PromptBuilder:
    """Writes the prompts of one task through one template; `chat` turns demonstrations into turns of a conversation."""

    def __init__(self, template: Template, task: Task, chat: ApplyChat | None = None) -> None:
        _check_needs(template, task)
        self.template = template
        self.task = task
        self.chat = chat
        self.verbalizer = make_verbalizer(template, task)
        labels = tuple(label_words(template, task).values())
        if template.answer in ("letter", "number"):
            _check_explained(template, task, labels)
        self._last: tuple[tuple[tuple[str, str], ...], str] | None = None
        """Demonstrations (ids and answers) and how they are written."""
        self.renderer = Renderer(template, task={"name": task.name, "description": task.description}, labels=labels)

    def prompts(self, demonstrations: Sequence[Example], query: Query, candidates: Sequence[Candidate]) -> list[Prompt]:
        """One prompt per candidate: same context, same query side, another answer."""
        context = self.context(demonstrations, query)
        prefix = "" if self.chat else self.template.answer_prefix
        ids = tuple(example.id for example in demonstrations)
        return [Prompt(query.id, c.label, context, prefix + c.text, ids, self.chat is None) for c in candidates]

    def open_prompt(self, demonstrations: Sequence[Example], query: Query) -> Prompt:
        """The prompt after which the model writes the answer itself."""
        context = self.context(demonstrations, query)
        ids = tuple(example.id for example in demonstrations)
        return Prompt(query.id, "", context, "", ids, self.chat is None)

    @cached_property
    def channel(self) -> Channel:
        """How items are written answer-first. Raises IclError for a template that does not say it, and for chat turns."""
        if self.chat is not None:
            raise IclError("channel scoring reads the input after the answer, which turns of a chat do not have; leave out --chat")
        return Channel(self.template, self.renderer, self.task.fields)

    def channel_prompts(self, demonstrations: Sequence[Example], query: Query, candidates: Sequence[Candidate]) -> list[Prompt]:
        """One prompt per candidate, each item answer-first; the span is the query's input, after another answer in each of them."""
        render, write = self.renderer, self.verbalizer.write
        parts = [render.instruction] if render.instruction else []
        parts += [self.channel.write(example.query(), write(example))[0] for example in demonstrations]
        head = "".join(part + render.separator for part in parts)
        ids = tuple(example.id for example in demonstrations)
        prompts = []
        for candidate in candidates:
            text, start = self.channel.write(query, candidate.text)
            prompts.append(Prompt(query.id, candidate.label, head + text[:start], text[start:], ids))
        return prompts

    def context(self, demonstrations: Sequence[Example], query: Query) -> str:
        """Everything before the answer."""
        write, render = self.verbalizer.write, self.renderer
        if self.chat is None:
            return self._head(demonstrations) + render.query(query)
        messages: list[Message] = []
        if render.instruction:
            messages.append({"role": "system", "content": render.instruction})
        for example in demonstrations:
            messages.append({"role": "user", "content": render.query(example.query())})
            messages.append({"role": "assistant", "content": write(example)})
        messages.append({"role": "user", "content": render.query(query)})
        return self.chat(messages)

    def _head(self, demonstrations: Sequence[Example]) -> str:
        """What stands before the query side in a plain text. A thousand queries share it, so the last one is remembered."""
        shown = tuple((example.id, example.target) for example in demonstrations)
        if self._last is None or self._last[0] != shown:
            render, write = self.renderer, self.verbalizer.write
            parts = [render.instruction] if render.instruction else []
            parts += [render.demonstration(example, write(example)) for example in demonstrations]
            self._last = shown, "".join(part + render.separator for part in parts)
        return self._last[1]


def check_fit(template: Template, task: Task) -> None:
    """Raises IclError for whatever can be seen to be wrong between a template and a task before the first item."""
    PromptBuilder(template, task)


def _check_needs(template: Template, task: Task) -> None:
    """The task's kind and fields are those that the template serves."""
    if task.kind not in template.kinds:
        other = f"; the task's own default is '{task.default_template}'" if template.name != task.default_template else ""
        raise IclError(
            f"template '{template.name}' serves {', '.join(template.kinds)}, but task '{task.name}' is of kind {task.kind}{other}"
        )
    missing = [name for name in template.fields if name not in task.fields]
    if missing:
        raise UndefinedField(
            f"template '{template.name}' needs the field{'s' if len(missing) > 1 else ''} {', '.join(missing)}, "
            f"but task '{task.name}' has {', '.join(task.fields)}"
        )
    used = frozenset().union(*template.used.values())
    hidden = sorted(used & GIVEN & set(task.fields))
    if hidden:
        raise IclError(
            f"task '{task.name}' has a field '{hidden[0]}', but in a template '{hidden[0]}' means something else; "
            "give the field another name in the card's inputs"
        )


def _check_explained(template: Template, task: Task, words: Sequence[str]) -> None:
    """An answer "A" or "1" means something only where the prompt says what it is."""
    if task.kind not in ("classification", "multiple_choice"):
        raise IclError(
            f"template '{template.name}' answers with letters, but task '{task.name}' of kind {task.kind} is answered with a text"
        )
    numbers = template.answer == "number"
    names = [str(i) for i in range(1, len(words) + 1)] if numbers else LETTERS
    seen = template.used["query"] | template.used.get("instruction", frozenset())
    lists = bool(seen & {"choices", "labels"}) and (numbers or "letters" in seen)
    listed = lists if words else "choices" in template.used["query"]
    written_out = bool(words) and all(_names_letter(template.body, *pair) for pair in zip(names, words, strict=False))
    if not listed and not written_out:
        mark = "loop.index" if numbers else "letters[loop.index0]"
        raise IclError(
            f"template '{template.name}' answers with {template.answer}s, but its prompt never says what they stand for; list them in "
            f"'query' or 'instruction', such as {{% for choice in choices %}}{{{{ {mark} }}}}. {{{{ choice }}}} {{% endfor %}}"
        )


def _names_letter(text: str, letter: str, word: str) -> bool:
    """Whether a text says itself what a letter stands for: "A. word", "A = word", "word (A)"."""
    between = r"\W{1,4}"
    return bool(re.search(rf"\b{letter}{between}{re.escape(word)}|{re.escape(word)}{between}{letter}\b", text))
