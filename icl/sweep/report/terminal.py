"""A sweep on the terminal: what will be done, and what came out."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from icl.sweep.analysis import Analysis
from icl.sweep.plan import Plan
from icl.sweep.report import facts, sentences
from icl.sweep.results import Results
from icl.sweep.settings import varying, word

MOST_LINES = 30
"""Rows of a table on a terminal; all of them are in the report."""


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else 160, highlight=False)


def print_plan(plan: Plan) -> None:
    """Every cell, and whether its run is there, will be made, or cannot be."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    names = [*varying(plan.sweep.cells), *(["seed"] if len({cell.seed for cell in plan.sweep.cells}) > 1 else [])]
    for column in ("cell", *names, "run", "state"):
        table.add_column(column)
    for number, cell in enumerate(plan.sweep.cells, 1):
        run = plan.runs[plan.of[cell]]
        state = "finished" if run.finished else f"cannot be made: {run.reason}" if run.reason else "to do"
        name = run.directory.name if run.directory else "-"
        table.add_row(str(number), *(escape(word(field, getattr(cell, field))) for field in names), escape(name), escape(state))
    _console().print(table)


def print_sweep(results: Results, groups: Sequence[Analysis]) -> None:
    """The table of every group, its verdict and warning, what failed, the cost, and where the report lies."""
    console = _console()
    for of in groups:
        _print_group(console, of)
    for settings, reason in facts.failures(results):
        console.print(f"failed  {settings}: {reason}", markup=False, soft_wrap=True)
    for name, value in facts.cost_pairs(results):
        console.print(f"{name.lower()}: {value}", markup=False, style="dim", soft_wrap=True)
    console.print(f"report  {results.dir / 'report.html'}", markup=False, soft_wrap=True)


def _print_group(console: Console, of: Analysis) -> None:
    group = of.group
    console.print(
        f"[bold]{escape(group.task)}[/bold] · {len(group.draws)} draws x {group.n_queries} queries of the split '{escape(group.split)}'",
        soft_wrap=True,
    )
    console.print(_table(of))
    if len(group.rows) > MOST_LINES:
        console.print(f"… {len(group.rows) - MOST_LINES} more, and the worst; all are in the report", style="dim")
    for sentence in (sentences.tied(of), sentences.verdict(of), sentences.held_out_words(of)):
        if sentence:
            console.print(sentence, markup=False, soft_wrap=True)
    if warning := sentences.warning(of):
        console.print(warning, markup=False, style="yellow", soft_wrap=True)
        if command := sentences.confirm_command(of):
            console.print(f"  {command}", markup=False, soft_wrap=True)
    if of.transductive:
        console.print("* transductive: sees all queries of the draw at once", style="dim")


def _table(of: Analysis) -> Table:
    """The best rows, and the worst."""
    names = list(of.group.fields)
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("", justify="right")
    for name in names:
        table.add_column(name, no_wrap=False)
    for column in (facts.title(of).lower(), "95 % interval", "to the best", "p"):
        table.add_column(column, justify="right", no_wrap=True)
    found = facts.lines(of)
    for line in found if len(found) <= MOST_LINES else [*found[: MOST_LINES - 1], found[-1]]:
        star = ["*" if line.transductive and name == "calibration" else "" for name in names]
        settings = (escape(value + mark) for value, mark in zip(line.settings, star, strict=True))
        table.add_row(line.rank, *settings, line.mean, line.interval, line.behind, line.p)
    return table
