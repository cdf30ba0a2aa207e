"""What a template writes for one query of a task: a pure view that the terminal, `--json` and the HTML page print."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from icl.encode import Encoder
from icl.tokenise import tokenise
from icl.vocabulary import Reader
from prompts import Prompt, PromptBuilder, Template
from prompts.chat import chat_renderer
from prompts.lint.case import check_shots, demonstrations_for, show, write
from prompts.lint.types import Shown
from tasks.errors import unknown_name
from tasks.types import Example, Task

MARK = "\ue000"
"""A character for private use, which no chat template writes."""
Part = Literal["instruction", "separator", "demonstration", "query", "answer", "markup"]


@dataclass(frozen=True)
class Segment:
    """A stretch of the prompt and where it comes from; all segments together are the prompt."""

    part: Part
    text: str
    number: int = 0
    """Which demonstration, from 1."""


@dataclass(frozen=True)
class Token:
    """One token of the prompt that is shown."""

    id: int
    name: str
    """As the vocabulary writes it."""
    text: str
    """The characters that it adds to the text before it."""
    scored: bool


@dataclass(frozen=True)
class Option:
    """A candidate answer."""

    label: str
    text: str
    right: bool
    tokens: int | None
    """How many are scored; None without a model."""


@dataclass(frozen=True)
class Preview:
    """One prompt, as it would be read."""

    template: str
    task: str
    model: str | None
    chat: bool
    query: str
    demonstrations: tuple[str, ...]
    segments: tuple[Segment, ...]
    """With the right answer, or the reference where the model writes the answer itself."""
    options: tuple[Option, ...]
    """Empty where the model writes the answer itself."""
    tokens: tuple[Token, ...]
    """Of the prompt that is shown; empty without a model."""
    window: int | None

    @property
    def text(self) -> str:
        return "".join(segment.text for segment in self.segments)

    @property
    def share(self) -> float | None:
        """Of the context window; None without a model, or one that names no window."""
        return len(self.tokens) / self.window if self.tokens and self.window else None


def make_preview(
    template: Template, task: Task, *, shots: int, query: str | None = None, seed: int = 0, reader: Reader | None = None, chat: bool = False
) -> Preview:
    """The prompt of a query (by default the first that is evaluated) after `shots` demonstrations that the seed draws.

    `chat` needs a reader. Raises IclError for an unknown query and for whatever is wrong between template and task.
    """
    check_shots(task, shots)
    builder = PromptBuilder(template, task, chat_renderer(reader.tokenizer) if chat and reader else None)
    example = find_query(task, query)
    shown = show(builder, write(builder, example), demonstrations_for(task, example.id, shots, seed))
    right = _right(task, shown)
    requests = tokenise(Encoder(reader.tokenizer), shown.prompts) if reader else []
    return Preview(
        template=template.name,
        task=task.name,
        model=reader.vocabulary.name if reader else None,
        chat=chat,
        query=example.id,
        demonstrations=shown.prompts[right].demonstrations,
        segments=tuple(_segments(builder, shown, shown.prompts[right])),
        options=tuple(
            Option(
                c.label,
                c.text,
                c.label == shown.prompts[right].candidate,
                len(requests[i].answer) if requests else None,
            )
            for i, c in enumerate(shown.written.candidates)
        ),
        tokens=_tokens(reader, shown.prompts[right], requests[right].scored_from) if reader else (),
        window=reader.vocabulary.window if reader else None,
    )


def find_query(task: Task, id: str | None) -> Example:
    """An example that is not for demonstrations; without an id the first of the evaluated split."""
    if id is None:
        return task.splits[task.evaluated_split()][0]
    roles = [role for role in (task.evaluated_split(), *task.splits) if role != "demonstration"]
    for role in roles:
        try:
            return task.splits[role].by_id(id)
        except KeyError:
            continue
    raise unknown_name("query", id, [name for role in roles for name in task.splits[role].ids], f"of task '{task.name}'")


def _right(task: Task, shown: Shown) -> int:
    """Which of the prompts has the right answer. A generation task's target is a text, even where it looks like a choice's letter."""
    written, candidates = shown.written, shown.written.candidates
    if task.kind == "generation":
        return [c.text for c in candidates].index(written.answer) if candidates else 0
    return [c.label for c in candidates].index(written.example.target)


def _segments(builder: PromptBuilder, shown: Shown, prompt: Prompt) -> Iterator[Segment]:
    context, answer = prompt.context, prompt.answer
    yield from _chat_parts(builder, shown, context) if builder.chat else _plain_parts(builder, shown)
    yield Segment("answer", answer)


def _plain_parts(builder: PromptBuilder, shown: Shown) -> Iterator[Segment]:
    render, answer_of = builder.renderer, builder.verbalizer.write
    if render.instruction:
        yield Segment("instruction", render.instruction)
        yield Segment("separator", render.separator)
    for number, example in enumerate(shown.demonstrations, 1):
        yield Segment("demonstration", render.demonstration(example, answer_of(example)), number)
        yield Segment("separator", render.separator)
    yield Segment("query", shown.written.query)


def _chat_parts(builder: PromptBuilder, shown: Shown, context: str) -> Iterator[Segment]:
    """The turns, told from what the chat template wrote around them by writing marks in their place.

    A chat template that treats some texts otherwise than others is shown undivided.
    """
    assert builder.chat is not None
    turns = [("system", Segment("instruction", builder.renderer.instruction))] if builder.renderer.instruction else []
    for number, example in enumerate(shown.demonstrations, 1):
        turns.append(("user", Segment("demonstration", builder.renderer.query(example.query()), number)))
        turns.append(("assistant", Segment("demonstration", builder.verbalizer.write(example), number)))
    turns.append(("user", Segment("query", shown.written.query)))
    marked = builder.chat([{"role": role, "content": f"{MARK}{i}{MARK}"} for i, (role, _) in enumerate(turns)])
    for trim in (False, True):  # many chat templates trim their turns
        pieces: list[Segment] = []
        for i, piece in enumerate(marked.split(MARK)):
            turn = turns[int(piece)][1] if i % 2 else Segment("markup", piece)
            pieces.append(replace(turn, text=turn.text.strip()) if trim and i % 2 else turn)
        if "".join(piece.text for piece in pieces) == context:
            yield from (piece for piece in pieces if piece.text)
            return
    yield Segment("markup", context)


def _tokens(reader: Reader, prompt: Prompt, scored_from: int) -> tuple[Token, ...]:
    ((ids, ends),) = Encoder(reader.tokenizer)([prompt.text], prompt.add_special_tokens)
    names: Sequence[str] = reader.tokenizer.convert_ids_to_tokens(ids)
    texts = [prompt.text[begin:end] for begin, end in pairwise([0, *ends])]
    return tuple(Token(id, name, text, i >= scored_from) for i, (id, name, text) in enumerate(zip(ids, names, texts, strict=True)))
