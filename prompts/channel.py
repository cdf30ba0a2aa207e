"""The channel side of a template: the answer first, then the input, which is what is scored (noisy channel, Min et al. 2022).

    Text: a fine film          →   Sentiment: positive
    Sentiment: positive            Text: a fine film
                                        ‾‾‾‾‾‾‾‾‾‾‾‾ scored

A template may say how in a block `channel`, which sees `answer` beside the input fields. Otherwise the query side is turned round: what
stands below the line of its last input field, with the answer behind it, moves to the front. Where the input begins is found once, by
rendering words that no template holds in place of the fields: so both are functions of the template, and not of the query.
"""

from __future__ import annotations

from dataclasses import replace

from prompts.render import Renderer
from prompts.types import Template
from tasks.errors import IclError
from tasks.types import Query


class Channel:
    """Writes items answer-first. Raises IclError for a template that cannot be turned round and has no block `channel`."""

    def __init__(self, template: Template, renderer: Renderer, fields: tuple[str, ...]) -> None:
        self.template = template
        self.renderer = renderer
        self._marks = {name: _mark(i, template.source) for i, name in enumerate(fields)}
        self._heads: dict[str, str] = {}
        """Answer → what stands before the input after it."""
        self._below = "" if "channel" in template.used else self._line_of_the_answer()
        """What stands below the line of the last input field, the line feed in front of it included."""

    def write(self, query: Query, answer: str) -> tuple[str, int]:
        """The text, and the character at which the input begins; spaces in front of it belong to it, as they do to an answer."""
        text = self._text(query, answer)
        if answer not in self._heads:
            marked = self._text(replace(query, inputs=self._marks), answer)
            self._heads[answer] = marked[: self._places(marked)[0]].rstrip(" \t")
        head = self._heads[answer]
        if not text.startswith(head):
            raise IclError(
                f"template '{self.template.name}': channel scoring needs the same text before every input, but item '{query.id}' begins "
                "otherwise; write it without conditions in a block 'channel'"
            )
        return text, len(head)

    def _text(self, query: Query, answer: str) -> str:
        if not self._below:
            return self.renderer.channel(query, answer)
        side = self.renderer.query(query)
        if not side.endswith(self._below):
            raise IclError(
                f"template '{self.template.name}': channel scoring needs the same text after every input, but item '{query.id}' ends "
                "otherwise; write it without conditions in a block 'channel'"
            )
        cue = self._below.lstrip("\n")
        return (cue + self.template.answer_prefix if cue else "") + answer + "\n" + side.removesuffix(self._below)

    def _line_of_the_answer(self) -> str:
        side = self.renderer.query(Query("channel", self._marks))
        below = side[self._places(side)[1] :]
        if "demonstration" in self.template.used or "\n" not in below:
            own = "has a block 'demonstration' of its own" if "demonstration" in self.template.used else "asks in the line of the input"
            raise IclError(
                f"template '{self.template.name}' {own}, so it cannot be turned round for channel scoring; add a block 'channel', "
                "such as {% block channel %}Label: {{ answer }}↵Text: {{ text }}{% endblock %}"
            )
        return below[below.index("\n") :]

    def _places(self, text: str) -> tuple[int, int]:
        """Where the first of the marked fields begins and the last one ends, whatever the case that a filter gave them."""
        folded = text.lower()
        found = [(folded.find(mark), folded.rfind(mark) + len(mark)) for mark in self._marks.values() if mark in folded]
        if not found:
            raise IclError(f"template '{self.template.name}' shows no input field as it is, so channel scoring finds none; use another one")
        return min(start for start, _ in found), max(end for _, end in found)


def _mark(number: int, source: str) -> str:
    """A word of lower-case letters that does not occur in a template."""
    word = f"qzx{'abcdefghijklmnopqrstuvwxyz'[number % 26]}wq" + "q" * (number // 26)
    while word in source.lower():
        word += "z"
    return word
