"""The table of commands."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from icl.cli import cache, compare, evaluate, models, prompts, runs, sensitivity, sweep, tasks, tune


class Interrupted(Exception):
    """Ctrl-C, under a name that the command-line library lets through; its text says what was kept."""


class Commands(TyperGroup):
    """All commands; the one place that Ctrl-C of any of them passes."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise Interrupted(str(error)) from error


app = typer.Typer(
    name="icl",
    cls=Commands,
    help="An in-context-learning laboratory: few-shot evaluation of causal language models.",
    epilog="Environment: ICL_CACHE_DIR (the cache), ICL_SCORE_STORE (the file of kept scores), ICL_DATA_DIR (a mirror of hub data), "
    "ICL_WORKSPACE (collected tasks).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("evaluate")(evaluate.command)
app.command("sweep")(sweep.command)
app.command("compare")(compare.command)
app.command("sensitivity")(sensitivity.command)
app.command("tune")(tune.command)
app.add_typer(runs.app, name="runs")
app.add_typer(models.app, name="models")
app.add_typer(tasks.app, name="tasks")
app.add_typer(prompts.app, name="prompts")
app.add_typer(cache.app, name="cache")


def _version(asked: bool) -> None:
    if asked:
        from icl.environment import version

        print(f"icl-lab {version('icl-lab') or '(not installed: runs from a checkout)'}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", is_eager=True, callback=_version, help="Show the version.")] = False,
) -> None:
    """Options of `icl` itself."""
