"""`icl runs`: what has been evaluated, and what the model saw."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from icl.cli.options import DataDir, Debug, Json, Out, print_json, when_interrupted
from tasks.errors import IclError

app = typer.Typer(help="Runs: list them, show one or one of its prompts, export every scored span.", no_args_is_help=True)
RunName = Annotated[str, typer.Argument(metavar="RUN", help="Name of a run, the beginning of its name, its directory, or 'latest'.")]


@app.command("list")
def list_runs(out: Out = Path("runs"), json: Json = False, debug: Debug = False) -> None:
    """The finished evaluations of a directory, oldest first: what tells them apart, and what came out."""
    from icl.report import listing
    from icl.runs import find

    readable = []
    for run in find.list_runs(out):
        try:
            readable.append(listing.line_of(run))
        except IclError as error:
            print(f"icl: left out {run.name}: {error}", file=sys.stderr)
    if json:
        print_json([line.to_json() for line in readable])
    elif readable:
        listing.print_lines(readable)
    else:
        print(f"no finished runs in {out}")


@app.command("show")
def show(
    run: RunName,
    query: Annotated[str | None, typer.Option(help="Show this query of the run. [default, where another option asks: the first]")] = None,
    prompt: Annotated[bool, typer.Option("--prompt", help="Print the exact text that the model saw, the scored span marked.")] = False,
    tokens: Annotated[bool, typer.Option("--tokens", help="With the tokens and their ids.")] = False,
    episode: Annotated[str | None, typer.Option(help="Look for the query in this episode.")] = None,
    out: Out = Path("runs"),
    json: Json = False,
    debug: Debug = False,
) -> None:
    """A run's table, or one of its prompts."""
    from icl.runs import find_run

    found = find_run(run, out)
    if query is None and episode is None and not prompt and not tokens:
        if json:
            print_json(found.to_json())
        else:
            from icl.report.terminal import print_run

            print_run(found)
        return
    from icl.runs.show import shown_query

    item = shown_query(found, query, episode)
    item["tokens"] = _tokens(found, item) if tokens else None
    if json:
        print_json(item)
    else:
        _print_query(item, prompt)


@app.command("resume")
def resume(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="Name of an unfinished run, the beginning of its name, its directory, or 'latest'.")
    ],
    data_dir: DataDir = None,
    out: Out = Path("runs"),
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Go on with a run that was interrupted or killed; what is finished is kept."""
    from icl.cli.progress import Watcher
    from icl.runs.find import find_unfinished, kind_of

    directory = find_unfinished(run, out)
    go_on, show = {"compare": _comparison, "compare-images": _comparison_on_images}.get(kind_of(directory), _evaluation)()
    with when_interrupted(f"what is finished is kept in {directory}; 'icl runs resume {directory}' continues"), Watcher() as watcher:
        finished = go_on(directory, data_dir=data_dir, events=watcher)
    if json:
        print_json(finished.to_json())
    else:
        show(finished)


def _evaluation() -> tuple[Any, Any]:
    """How an evaluation goes on, and how it is shown."""
    from icl.evaluation import resume
    from icl.report.terminal import print_run

    return resume, print_run


def _comparison() -> tuple[Any, Any]:
    """How a comparison goes on, and how it is shown."""
    from compare.report.terminal import print_comparison
    from compare.run import resume

    return resume, print_comparison


def _comparison_on_images() -> tuple[Any, Any]:
    """How a comparison on images goes on, and how it is shown."""
    from compare.images.report.terminal import print_images
    from compare.images.run import resume

    return resume, print_images


@app.command("export")
def export(
    run: RunName,
    to: Annotated[Path, typer.Option("--to", help="File to write, one JSON object per scored candidate.")],
    out: Out = Path("runs"),
    debug: Debug = False,
) -> None:
    """Every scored span with its whole text and token ids, so that anyone can check a score without our code."""
    from icl.evaluation import tokenizer_of
    from icl.runs import find_run
    from icl.runs.show import export as write

    found = find_run(run, out)
    with when_interrupted(f"{to} is not written"):
        count = write(found, tokenizer_of(found), to)
    print(f"{count} scored candidates written to {to}")


def _tokens(run: Any, item: dict[str, Any]) -> list[dict[str, Any]]:
    """Tokens of every candidate's whole prompt (of the context alone where nothing is scored)."""
    from icl.encode import Encoder
    from icl.evaluation import tokenizer_of
    from icl.runs.show import as_prompt
    from icl.tokenise import tokenise

    tokenizer = tokenizer_of(run)
    scored = [row for row in item["candidates"] if row["logprob"] is not None]
    requests = tokenise(Encoder(tokenizer), [as_prompt(item, row) for row in scored])
    return [
        {
            "candidate": row["candidate"],
            "scored_from": request.scored_from,
            "ids": list(request.token_ids),
            "tokens": tokenizer.convert_ids_to_tokens(list(request.token_ids)),
        }
        for row, request in zip(scored, requests, strict=True)
    ]


def _print_query(item: dict[str, Any], prompt: bool) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    chosen = next((row for row in item["candidates"] if row["logprob"] is not None and row["candidate"] == row["predicted"]), None)
    shown = chosen or item["candidates"][0]
    if prompt:
        # On a terminal the span is coloured; brackets mark it everywhere, so that a copy of the text shows it as well.
        console.print(
            Text(item["context"]) + Text("⟦", "bold magenta") + Text(shown["text"], "bold magenta") + Text("⟧", "bold magenta"),
            soft_wrap=True,
        )
        console.print(Text("─" * 40, "dim"))
    also = f" (also in {', '.join(item['also_in'])})" if item["also_in"] else ""
    console.print(Text(f"episode {item['episode']}{also}, query {item['query']}, target {shown['target']}"), soft_wrap=True)
    console.print(Text(f"demonstrations: {', '.join(item['demonstrations']) or 'none'}; dropped: {item['dropped']}"), soft_wrap=True)
    for row in item["candidates"]:
        mark = " ←" if row["candidate"] == row["predicted"] else ""
        score = f"{row['logprob']:10.4f}  {row['tokens']} tokens" if row["logprob"] is not None else "   written"
        console.print(Text(f"{score}  {row['candidate'] or '-'}  {row['text']!r}{mark}"), soft_wrap=True)
    for of in item["tokens"] or []:
        console.print(Text(f"tokens of candidate {of['candidate']}, scored from {of['scored_from']}:", "bold"))
        pairs = zip(of["tokens"], of["ids"], strict=True)
        console.print(Text(" ".join(f"{token}:{id}" for token, id in pairs)), soft_wrap=True)
