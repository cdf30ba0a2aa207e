"""`icl tasks`: the library of task cards, and what checks or draws from a task."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from icl.cli import tasks_import, tasks_mirror
from icl.cli.options import DataDir, Debug, Json, Workspace, count_or_all, print_json
from tasks.errors import IclError

if TYPE_CHECKING:
    from tasks import Task
    from tasks.validate import Validation

Name = Annotated[str, typer.Argument(metavar="TASK", help="A task of the library, or the path of a card.")]

app = typer.Typer(
    help="Tasks: list the library, show one, check its data, draw episodes, write or import a card, mirror hub data.", no_args_is_help=True
)


@app.command("list")
def list_tasks(workspace: Workspace = None, json: Json = False, debug: Debug = False) -> None:
    """Every task of the library and of the workspace, with its kind and where its data comes from."""
    from tasks.cardfile import load_card
    from tasks.load import find_card, library_names
    from tasks.workspace import versions, workspace_card, workspace_dir, workspace_names

    place = workspace_dir(workspace)
    own = [(path, versions(place, name)[-1]) for name in workspace_names(place) if (path := workspace_card(name, place))]
    cards = [*((load_card(find_card(name)), None) for name in library_names()), *((load_card(path), version) for path, version in own)]
    rows = [
        {"name": c.name, "kind": c.kind, "source": c.source.type, "licence": c.licence, "description": c.description}
        | ({"version": version} if version else {})
        for c, version in cards
    ]
    if json:
        print_json(rows)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("task", "kind", "source", "description", box=None, header_style="bold", pad_edge=False)
    for row in rows:
        version = f" (version {row['version']})" if "version" in row else ""
        table.add_row(str(row["name"]), str(row["kind"]), f"{row['source']}{version}", str(row["description"]))
    Console().print(table)


@app.command("show")
def show(
    task: Name,
    data_dir: DataDir = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Fields, labels, sizes, first examples, licence."""
    from collections import Counter

    from tasks.load import load_task

    found = load_task(task, data_dir)
    _check_template(found)
    facts = {
        "name": found.name,
        "kind": found.kind,
        "description": found.description,
        "fields": list(found.fields),
        "labels": {label: found.label_words[label] for label in found.labels},
        "splits": {role: len(rows) for role, rows in found.splits.items()},
        "label_counts": {role: dict(Counter(rows.targets)) for role, rows in found.splits.items()} if found.labels else {},
        "template": found.default_template,
        "source": found.source,
        "licence": found.licence,
        "citation": found.citation,
        "notes": found.notes,
        "remarks": list(found.remarks),
        "dropped": dict(found.dropped),
        "fingerprint": found.fingerprint,
        "examples": [
            {"id": e.id, "inputs": dict(e.inputs), "choices": list(e.choices), "target": e.target}
            for e in found.splits["demonstration"][:3]
        ],
    }
    if json:
        print_json(facts)
        return
    for key, value in facts.items():
        if key != "examples" and value:
            print(f"{key:12} {value}")
    for example in facts["examples"]:
        print(f"example      {example}")


@app.command("validate")
def validate(task: Name, data_dir: DataDir = None, json: Json = False, debug: Debug = False) -> None:
    """Check card and data: what loading left out, near-duplicates, empty fields, balance, lengths. Exit code 1 when there is an error."""
    from dataclasses import asdict

    from tasks.validate import method
    from tasks.validate import validate as look

    found = look(task, data_dir)
    if json:
        print_json({**asdict(found), "errors": found.errors, "method": method()})
    else:
        _print_validation(found)
        print(method())
    if found.errors:
        raise typer.Exit(1)


def _print_validation(found: Validation) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    for role, rows in found.splits.items():
        counts = ", ".join(f"{label} {count}" for label, count in found.labels.get(role, {}).items())
        console.print(Text(f"{role}: {rows} rows{f' ({counts})' if counts else ''}"))
    if found.findings:
        table = Table("severity", "rule", "rows", "what", box=None, header_style="bold", pad_edge=False)
        for finding in found.findings:
            style = "red" if finding.severity == "error" else "yellow"
            table.add_row(Text(finding.severity, style=style), finding.rule, str(finding.rows or ""), Text(finding.text))
        console.print(table)
    warnings = len(found.findings) - found.errors
    console.print(f"{found.errors} errors, {warnings} warnings")


@app.command("sample")
def sample(
    task: Name,
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="The file to write, for --episodes-file of icl evaluate.")],
    episodes: Annotated[int, typer.Option(min=1, help="Independent draws of support and queries.")] = 5,
    queries: Annotated[str, typer.Option(help="Queries per episode, or 'all'.")] = "100",
    pool: Annotated[int | None, typer.Option(min=1, help="Rows of the demonstration split as support. [default: all]")] = None,
    k_shot: Annotated[int | None, typer.Option(min=1, help="Instead of a pool: so many support rows of every label.")] = None,
    n_way: Annotated[int | None, typer.Option(min=2, help="With --k-shot: labels in play, drawn per episode. [default: all]")] = None,
    seed: Annotated[int, typer.Option(help="Draws the episodes.")] = 0,
    split: Annotated[str | None, typer.Option(help="Where queries come from. [default: test if there is one, else validation]")] = None,
    data_dir: DataDir = None,
    debug: Debug = False,
) -> None:
    """Draw episodes into a file of JSON lines."""
    from icl.runs.files import writing
    from tasks.draw import Draw, draw
    from tasks.episodefile import episodes_bytes
    from tasks.load import load_task

    wanted = Draw(episodes, count_or_all(queries, "queries"), pool, k_shot, n_way, seed, split)
    if to.exists():
        raise IclError(f"--to must be a new file, but {to} exists; choose another name")
    lines = episodes_bytes(draw(load_task(task, data_dir), wanted))
    with writing(to, "choose another name"), to.open("xb") as file:
        file.write(lines)
    print(f"{episodes} episodes written to {to}\nuse them: icl evaluate {shlex.quote(task)} --episodes-file {shlex.quote(str(to))}")


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="Name of the new task.")],
    data: Annotated[Path, typer.Option("--data", metavar="FILE", help="Rows: .csv, .tsv, .jsonl, .ndjson or .parquet.")],
    text: Annotated[str | None, typer.Option(help="Column with the text. [default: guessed]")] = None,
    target: Annotated[str | None, typer.Option(help="Column with the answer. [default: guessed]")] = None,
    kind: Annotated[str | None, typer.Option(help="classification or generation. [default: guessed]")] = None,
    to: Annotated[Path | None, typer.Option("--to", metavar="CARD", help="The file to write. [default: NAME.yaml beside the data]")] = None,
    debug: Debug = False,
) -> None:
    """Write a card for a file of rows; what is not said is guessed, shown, and asked on a terminal."""
    from icl.runs.files import writing
    from tasks.load import load_task
    from tasks.newcard import Wish, new_card

    path = to or data.parent / f"{name}.yaml"
    if path.suffix not in (".yaml", ".yml"):
        raise IclError(f"a card's file must end in .yaml or .yml, but is {path}")
    if path.exists():
        raise IclError(f"{path} must be a new file, but it exists; choose another name")
    card = new_card(Wish(name, data, text, target, kind), path.parent, _decide)
    with writing(path, "choose another --to"), path.open("x", encoding="utf-8", newline="\n") as file:
        file.write(card)
    try:
        _check_template(load_task(path))
    except BaseException:
        path.unlink()
        raise
    shown = shlex.quote(str(path))
    print(f"written to {path}\ncheck it: icl tasks validate {shown}\nuse it:   icl evaluate {shown}")


@app.command("add")
def add(
    card: Annotated[Path, typer.Argument(metavar="CARD", help="The card's file (.yaml); the data files that it names are copied with it.")],
    workspace: Workspace = None,
    data_dir: DataDir = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Register a card in the workspace: its name then stands for it everywhere. A changed card becomes a new version."""
    from tasks.load import find_card, library_names, load_task
    from tasks.workspace import SETTING, add_task, workspace_dir

    place = workspace_dir(workspace)
    added = add_task(find_card(card), place, library_names(), lambda copy: _check_template(load_task(copy, data_dir)))
    if json:
        print_json({"name": added.name, "version": added.version, "card": str(added.path), "added": added.made})
        return
    print(f"{'added' if added.made else 'unchanged:'} {added.name}, version {added.version}, in {place}")
    if place != workspace_dir():
        print(f"to use it by its name: export {SETTING}={shlex.quote(str(place))}")
    print(f"use it: icl evaluate {added.name}")


app.command("import")(tasks_import.import_tasks)
app.command("mirror")(tasks_mirror.mirror)


def _decide(what: str, guess: str) -> str:
    """The guess, or on a terminal what the user says instead."""
    if sys.stdin.isatty():
        return str(typer.prompt(what, default=guess, err=True))
    print(f"guessed: the {what} is {guess!r}", file=sys.stderr)
    return guess


def _check_template(task: Task) -> None:
    """Raises IclError when the card names a template that does not exist or does not serve the task."""
    from prompts import check_fit, load_template

    try:
        check_fit(load_template(task.default_template), task)
    except IclError as error:
        raise IclError(f"the card of task '{task.name}' names a template that does not serve it: {error}") from error
