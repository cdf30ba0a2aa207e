"""The table of commands."""

from __future__ import annotations

import typer

from icl.cli import cache, compare, evaluate, models, prompts, runs, tasks

app = typer.Typer(
    name="icl",
    help="An in-context-learning laboratory: few-shot evaluation of causal language models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("evaluate")(evaluate.command)
app.command("compare")(compare.command)
app.add_typer(runs.app, name="runs")
app.add_typer(models.app, name="models")
app.add_typer(tasks.app, name="tasks")
app.add_typer(prompts.app, name="prompts")
app.add_typer(cache.app, name="cache")
