"""`icl prompts preview`: the exact text of a prompt, on the terminal, as JSON or as a page, and again whenever the template is saved."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from icl.cli.options import DataDir, Debug, Json, print_json
from icl.cli.prompts_lint import Chat, Model, Name, Task, needs_model
from tasks.errors import IclError

if TYPE_CHECKING:
    from icl.preview import Preview

PAUSE = 0.4
"""Seconds between two looks at the files."""
DEMONSTRATIONS = ("green", "blue")
"""Colours in turn, so that neighbours differ."""
COLOURS = {"instruction": "cyan", "separator": "dim", "query": "bold", "answer": "bold magenta", "markup": "dim yellow"}
CONTROLS = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"} | {127: 0x2421} | dict.fromkeys(range(128, 160), "\ufffd")
"""Characters that would steer the terminal → signs that show them."""
GUTTERS = {"instruction": "instr", "query": "query", "answer": "query"}


def preview(
    name: Name,
    task: Task,
    shots: Annotated[int, typer.Option(min=0, help="Demonstrations in the prompt.")] = 3,
    model: Model = None,
    chat: Chat = False,
    query: Annotated[str | None, typer.Option(help="Id of the query. [default: the first that is evaluated]")] = None,
    seed: Annotated[int, typer.Option(help="Draws the demonstrations.")] = 0,
    tokens: Annotated[bool, typer.Option("--tokens", help="With the tokens and their ids; needs --model.")] = False,
    html: Annotated[Path | None, typer.Option("--html", help="Write a page that shows the same.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Again whenever the template is saved, until Ctrl-C.")] = False,
    data_dir: DataDir = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """The exact text that a model would read: demonstrations told apart, the scored span in brackets, its share of the window."""
    from icl.preview import make_preview
    from icl.vocabulary import load_reader
    from prompts.template import find_template, load_template
    from tasks.load import load_task

    needs_model(chat, "--chat", model)
    needs_model(tokens, "--tokens", model)
    if json and watch:
        raise IclError("--watch prints again and again, --json exactly one value; leave one of them out")
    path = find_template(name)
    loaded = load_task(task, data_dir)
    reader = load_reader(model) if model else None

    def once() -> None:
        view = make_preview(load_template(path), loaded, shots=shots, query=query, seed=seed, reader=reader, chat=chat)
        if html is not None:
            from icl.report.preview import write_page

            write_page(view, html, with_tokens=tokens)
        if json:
            print_json(as_json(view, tokens))
        elif html is None:
            print_preview(view, tokens)
        else:
            print(f"written to {html}")

    if watch:
        _watch(once, path)
    else:
        once()


def as_json(view: Preview, tokens: bool) -> dict[str, Any]:
    """One JSON value: the text, its segments, candidates and counts; the tokens where they are asked for."""
    fields = asdict(view)
    listed = fields.pop("tokens")
    counts = {"text": view.text, "n_tokens": len(listed) or None, "share": view.share}
    return {**fields, **counts, **({"tokens": listed} if tokens else {})}


def print_preview(view: Preview, tokens: bool) -> None:
    """The text beside a narrow column that says what each line belongs to; then the facts."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    for gutter, line in lines(view):
        console.print(Text.assemble((f"{gutter:>5} │ ", "dim"), *line), soft_wrap=True)
    console.print(Text("─" * 40, "dim"))
    for fact in facts(view):
        console.print(Text(fact), soft_wrap=True)
    if tokens:
        listed = Text("tokens: ")
        for token in view.tokens:
            listed.append(f"{token.name.translate(CONTROLS)}:{token.id} ", "bold magenta" if token.scored else "")
        console.print(listed, soft_wrap=True)


def lines(view: Preview) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """The lines of the prompt: what a line begins with, and its pieces with their colours. Brackets stand around the scored span."""
    gutter, pieces = "", list[tuple[str, str]]()
    for segment in view.segments:
        colour = COLOURS.get(segment.part) or DEMONSTRATIONS[segment.number % len(DEMONSTRATIONS)]
        name = str(segment.number) if segment.part == "demonstration" else GUTTERS.get(segment.part, "")
        text = f"⟦{segment.text}⟧" if segment.part == "answer" else segment.text
        first, *rest = text.translate(CONTROLS).split("\n")
        gutter = gutter or (name if first else "")
        pieces.append((first, colour))
        for line in rest:
            yield gutter, pieces
            gutter, pieces = name if line else "", [(line, colour)]
    yield gutter, pieces


def facts(view: Preview) -> Iterator[str]:
    """What stands below the text."""
    demonstrations = ", ".join(view.demonstrations) or "none"
    yield f"template {view.template}, task {view.task}, query {view.query}; demonstrations: {demonstrations}"
    if view.model is None:
        yield f"{len(view.text)} characters; --model counts the tokens"
    else:
        share = f", {view.share:.1%} of the window of {view.window}" if view.share is not None else ""
        scored = sum(token.scored for token in view.tokens)
        yield f"{len(view.tokens)} tokens ({scored} of them in the span){share}; {view.model}{', as chat' if view.chat else ''}"
    if not view.options:
        yield "the model writes the answer itself; the span shows the reference"
    for option in view.options:
        count = "" if option.tokens is None else f"  {option.tokens} token{'' if option.tokens == 1 else 's'}"
        yield f"candidate {option.label}: {option.text!r}{count}{'  ← right' if option.right else ''}"


def _watch(once: Callable[[], None], path: Path) -> None:
    """Prints, and prints again when a file changes. A mistake in the template is said, and the next save is waited for."""
    try:
        for _ in changes(path):
            if sys.stdout.isatty():
                print("\033[2J\033[H", end="")
            try:
                once()
            except IclError as error:
                print(f"icl: {error}", file=sys.stderr)
            print(f"watching {path}; Ctrl-C ends", file=sys.stderr, flush=True)
            sys.stdout.flush()
    except KeyboardInterrupt:
        return


wait = time.sleep


def changes(path: Path) -> Iterator[None]:
    """Once at the start, then each time that the template, or another template file of its directory, has another time or size."""
    seen = None
    while True:
        now = _stamps(path)
        if now != seen:
            seen = now
            yield
        wait(PAUSE)


def _stamps(path: Path) -> dict[str, tuple[int, int]]:
    """File → its time and size; inclusions stand in the template's directory or below it. An editor may be replacing one just now."""
    found = {}
    for file in sorted({path, *path.parent.rglob("*.jinja")}):
        try:
            stat = file.stat()
        except FileNotFoundError:
            continue
        found[str(file)] = (stat.st_mtime_ns, stat.st_size)
    return found
