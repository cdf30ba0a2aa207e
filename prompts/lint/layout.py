"""Rules about how a prompt is laid out, which need no tokenizer."""

from __future__ import annotations

import re
from collections.abc import Iterator

from prompts.build import PromptBuilder
from prompts.lint.types import Case, Problem, Shown

MARKUP = re.compile(
    r"<\|[a-z_]+\|>|\[/?INST\]|<</?SYS>>|</?s>|<(?:start|end)_of_turn>|<｜[^｜\n]{1,40}｜>"
    r"|^###? ?(?:Human|User|Assistant|Instruction|Response):",
    re.IGNORECASE | re.MULTILINE,
)
"""Marks of turns and special tokens of the chat templates in use."""
LONG_SPACE = re.compile(r"[ \t]{4,}|\n(?:[ \t]*\n){2,}")


def trailing_space(case: Case) -> Iterator[Problem]:
    """White space at the end of the query side, where the answer follows."""
    if case.chat:
        return
    ends = [shown for shown in case.queries if shown.query != shown.query.rstrip(" \t")]
    if ends and len(ends) == len(case.queries):
        yield Problem(
            f"the query side ends with white space before the answer prefix {case.template.answer_prefix!r}; end it without "
            "and let answer_prefix bring the space",
            "block 'query'",
        )
    elif ends:
        yield Problem(
            f"the query side ends with white space in {len(ends)} of {len(case.queries)} queries",
            f"query '{ends[0].example.id}'",
            "warning",
        )


def markup(case: Case) -> Iterator[Problem]:
    """Turns of a conversation written by hand."""
    for where, text in [("the template", case.template.body), *case.template.inclusions.items()]:
        if found := MARKUP.search(text):
            yield Problem(f"'{found.group().strip()}' is the markup of a chat template; leave it out and use --chat", where)


def separator_in_data(case: Case) -> Iterator[Problem]:
    """The text between demonstrations also stands within one."""
    separator = case.builder.renderer.separator
    if case.chat or not separator:
        return
    texts = [(w.example.id, w.query + case.template.answer_prefix + w.answer) for w in (*case.support, *case.queries)]
    found = [id for id, text in texts if separator in text]
    if found:
        yield Problem(f"the separator {separator!r} also stands inside {len(found)} of {len(texts)} examples", f"item '{found[0]}'")


def rendered_differently(case: Case) -> Iterator[Problem]:
    """A demonstration that does not begin like the query side with its answer."""
    if case.chat:
        return
    render, prefix = case.builder.renderer, case.template.answer_prefix
    for written in case.support[:20]:
        expected = written.query + prefix + written.answer
        if not render.demonstration(written.example, written.answer).startswith(expected):
            yield Problem(
                f"a demonstration is not the query side, answer_prefix {prefix!r} and the answer: the model is shown one form and asked in "
                "another",
                f"block 'demonstration', item '{written.example.id}'",
            )
            return


def not_deterministic(case: Case) -> Iterator[Problem]:
    """The same items, rendered again from the start and in another order."""
    again = PromptBuilder(case.template, case.task, case.builder.chat)
    for shown in reversed(case.shown):
        prompt = shown.prompts[0]
        if again.context(shown.demonstrations, shown.written.example.query()) != prompt.context:
            yield Problem("the same item gives another text when it is rendered again", f"query '{prompt.query_id}'")
            return


def long_spaces(case: Case) -> Iterator[Problem]:
    """White space that no input value holds, so that the template must have written it."""
    for shown in case.shown:
        for found in LONG_SPACE.finditer(shown.prompts[0].text):
            if not any(found.group() in value for value in _values(shown)):
                yield Problem(
                    f"{len(found.group())} characters of white space in a row: {found.group()!r}", f"query '{shown.prompts[0].query_id}'"
                )
                return


def _values(shown: Shown) -> Iterator[str]:
    for example in (*shown.demonstrations, shown.written.example):
        yield from (*example.inputs.values(), *example.choices, example.target)
