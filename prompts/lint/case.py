"""A case for the rules: examples drawn by a key, so that lint says the same thing every time, written by the template."""

from __future__ import annotations

from collections.abc import Sequence

from prompts.build import ApplyChat, PromptBuilder
from prompts.lint.types import Case, Shown, Vocabulary, Written
from prompts.types import Candidate, Template
from tasks.errors import IclError
from tasks.rng import keyed_rng
from tasks.types import Example, Examples, Task

SAMPLE = 200
"""Examples of each split that are rendered."""
PROMPTS = 16
"""Queries that are rendered as whole prompts, with demonstrations."""


def make_case(template: Template, task: Task, shots: int, chat: ApplyChat | None = None, vocabulary: Vocabulary | None = None) -> Case:
    """Raises IclError when the template does not serve the task, or the demonstration split has fewer than `shots` examples."""
    builder = PromptBuilder(template, task, chat)
    check_shots(task, shots)
    queries = [write(builder, example) for example in drawn(task, task.evaluated_split(), SAMPLE)]
    return Case(
        template=template,
        task=task,
        builder=builder,
        shots=shots,
        support=tuple(write(builder, example) for example in drawn(task, "demonstration", SAMPLE)),
        queries=tuple(queries),
        shown=tuple(show(builder, written, demonstrations_for(task, written.example.id, shots)) for written in queries[:PROMPTS]),
        vocabulary=vocabulary,
    )


def check_shots(task: Task, shots: int) -> None:
    """Raises IclError when the demonstration split cannot give so many."""
    size = len(task.splits["demonstration"])
    if not 0 <= shots <= size:
        raise IclError(f"--shots must be between 0 and the {size} examples of the demonstration split, but got {shots}")


def drawn(task: Task, role: str, count: int) -> list[Example]:
    """At most `count` examples of a split, in an order that depends on nothing but the task's name and the split."""
    return _pick(task.splits[role], count, "lint", task.name, role)


def demonstrations_for(task: Task, query_id: str, shots: int, seed: int = 0) -> list[Example]:
    """The demonstrations that stand before a query in a preview."""
    return _pick(task.splits["demonstration"], shots, "preview", task.name, query_id, seed=seed)


def _pick(examples: Examples, count: int, purpose: str, *item: str, seed: int = 0) -> list[Example]:
    places = keyed_rng(seed, purpose, *item).permutation(len(examples))[:count]
    return [examples[int(i)] for i in places]


def write(builder: PromptBuilder, example: Example) -> Written:
    """An example as the template writes it."""
    query, verbalizer = example.query(), builder.verbalizer
    return Written(example, builder.renderer.query(query), verbalizer.write(example), verbalizer.candidates(query))


def show(builder: PromptBuilder, written: Written, demonstrations: Sequence[Example]) -> Shown:
    """The whole prompts of one query."""
    candidates = written.candidates or (Candidate("", written.answer),)
    prompts = builder.prompts(demonstrations, written.example.query(), candidates)
    return Shown(written, tuple(demonstrations), tuple(prompts))
