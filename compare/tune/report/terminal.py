"""A tuning on the terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from compare.tune.report import facts
from compare.tune.run import Tuning


def print_tuning(tuning: Tuning) -> None:
    """Methods on the test, what the searches spent, the settings, and where the files lie."""
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    result = tuning.to_json()
    test, task = result["test"], escape(result["task"])
    console.print(
        f"[bold]{task}[/bold] · {escape(result['model'])} · test: {test['episodes']} episodes x {test['queries']} queries",
        soft_wrap=True,
    )
    console.print(_table(facts.METHOD_HEAD, facts.method_rows(result)))
    console.print(_table(facts.SEARCH_HEAD, facts.search_rows(result)))
    for of in result["methods"]:
        console.print(f"{of['method']}: {facts.setting(of['settings'])}", markup=False, soft_wrap=True)
        for where, reason in facts.failures(of):
            console.print(f"failed  {where}: {reason}", markup=False, style="dim", soft_wrap=True)
    if said := facts.verdict(result):
        console.print(said, markup=False, soft_wrap=True)
    if any(of["transductive"] for of in result["methods"]):
        console.print("* transductive: sees all queries of the episode at once", style="dim")
    console.print(f"budget of each method: {facts.budget(result)}", style="dim")
    for command in facts.commands(result, str(tuning.dir)):
        console.print(f"use     {command}", markup=False, soft_wrap=True)
    console.print(f"report  {tuning.dir / 'report.html'}", markup=False, soft_wrap=True)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for i, name in enumerate(head):
        table.add_column(name.lower(), justify="right" if i else "left", no_wrap=not i)
    for row in rows:
        table.add_row(*map(escape, row))
    return table
