"""`icl prompts new` and `icl prompts diff`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from difflib import SequenceMatcher
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from icl.cli.options import DataDir, Debug, Json, print_json
from icl.cli.prompts_lint import Chat, Model, Task, needs_model
from icl.cli.prompts_preview import as_json, lines
from tasks.errors import IclError

if TYPE_CHECKING:
    from icl.preview import Preview

Line = tuple[str, list[tuple[str, str]]]
"""What a line begins with, and its pieces with their colours."""


def new(
    name: Annotated[str, typer.Argument(help="Name of the template, or the path of the file to write.")],
    task: Task,
    debug: Debug = False,
) -> None:
    """Write a starter from the fields and labels of a task's card; its data is not needed."""
    from icl.runs.files import writing
    from prompts.starter import starter
    from tasks.cardfile import load_card
    from tasks.load import find_card

    path = Path(name if name.endswith(".jinja") else f"{name}.jinja")
    text = starter(load_card(find_card(task)))
    if path.exists():
        raise IclError(f"{path} must be a new file, but it exists; choose another name")
    with writing(path, "choose another name"), path.open("x", encoding="utf-8", newline="\n") as file:
        file.write(text)
    of = f"{_shown(path)} --task {_shown(task)}"
    print(f"written to {path}\nlook at it: icl prompts preview {of}\ncheck it:   icl prompts lint {of}")


def _shown(path: Path | str) -> str:
    import shlex

    return shlex.quote(str(path))


def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="A template of the library, or a .jinja file.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    task: Task,
    shots: Annotated[int, typer.Option(min=0, help="Demonstrations in the prompt.")] = 1,
    model: Model = None,
    chat: Chat = False,
    query: Annotated[str | None, typer.Option(help="Id of the query. [default: the first that is evaluated]")] = None,
    seed: Annotated[int, typer.Option(help="Draws the demonstrations.")] = 0,
    data_dir: DataDir = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Two templates side by side, as they write the same items."""
    from icl.preview import make_preview
    from icl.vocabulary import load_reader
    from prompts.template import load_template
    from tasks.load import load_task

    needs_model(chat, "--chat", model)
    templates = [load_template(name) for name in (a, b)]
    loaded = load_task(task, data_dir)
    reader = load_reader(model) if model else None
    left, right = (make_preview(template, loaded, shots=shots, query=query, seed=seed, reader=reader, chat=chat) for template in templates)
    if json:
        print_json({"a": as_json(left, tokens=False), "b": as_json(right, tokens=False), "same": left.text == right.text})
    else:
        _print(left, right)


def _print(left: Preview, right: Preview) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=True, header_style="bold", expand=True)
    for heading, ratio in ((left.template, 1), ("", None), (right.template, 1)):
        table.add_column(Text(heading), ratio=ratio, overflow="fold", width=None if ratio else 1)
    for one, other, same in aligned(list(lines(left)), list(lines(right))):
        table.add_row(_text(one), Text("" if same else "≠", "bold yellow"), _text(other))
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    console.print(table)
    console.print(Text("─" * 40, "dim"))
    for view in (left, right):
        size = f"{len(view.tokens)} tokens" if view.tokens else f"{len(view.text)} characters"
        console.print(Text(f"{view.template}: {size}"), soft_wrap=True)
    if left.text == right.text:
        console.print(Text("the two prompts are the same"))


def _text(line: Line | None) -> Any:
    from rich.text import Text

    return Text.assemble((f"{line[0]:>5} │ ", "dim"), *line[1]) if line else Text()


def aligned(left: list[Line], right: list[Line]) -> Iterator[tuple[Line | None, Line | None, bool]]:
    """Lines of both sides in pairs, and whether they are the same; None where a side has no line."""
    old, new = (["".join(piece for piece, _ in pieces) for _, pieces in side] for side in (left, right))
    for tag, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        for i in range(max(b - a, d - c)):
            yield left[a + i] if a + i < b else None, right[c + i] if c + i < d else None, tag == "equal"
