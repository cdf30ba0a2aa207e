"""`icl sweep`: a grid or a list of evaluations from one file, and one report over them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from icl.cli.options import DataDir, Debug, Json, Out, print_json
from tasks.errors import IclError


def command(
    file: Annotated[Path | None, typer.Argument(help="A sweep file (.yaml); --example prints one to start from.")] = None,
    example: Annotated[bool, typer.Option("--example", help="Print a sweep file to start from.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the cells and how much work they are; compute nothing.")] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that make runs side by side, each with a model of its own.")] = 1,
    data_dir: DataDir = None,
    out: Out = Path("runs"),
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Evaluate every cell of a grid or list over templates, selectors, shots, models, …: one table, paired on the same queries."""
    if example:
        from icl.sweep.example import EXAMPLE

        print(EXAMPLE, end="")
        return
    if file is None:
        raise IclError("a sweep needs a file; 'icl sweep --example' prints one to start from")
    _sweep(file, dry_run, jobs, data_dir, out, json)


def _sweep(file: Path, dry_run: bool, jobs: int, data_dir: Path | None, out: Path, json: bool) -> None:
    from icl.cli.progress import Watcher
    from icl.shared import Shared
    from icl.sweep.estimate import estimate
    from icl.sweep.file import read_sweep
    from icl.sweep.report.terminal import print_plan, print_sweep
    from icl.sweep.run import carry_out, plan_sweep
    from icl.sweep.tojson import plan_json, to_json

    asked, shared = read_sweep(file), Shared()
    with Watcher() as watcher:
        plan = plan_sweep(asked, out=out, data_dir=data_dir, shared=shared, events=watcher)
        work = estimate(plan, out, shared)
        watcher.note(work.said())
        done = None if dry_run else carry_out(plan, out, data_dir, jobs, watcher, shared)
    if done is None:
        if json:
            print_json(plan_json(plan, work))
        else:
            print_plan(plan)
    elif json:
        print_json(to_json(*done))
    else:
        print_sweep(*done)
    if done[0].failed if done else any(run.reason for run in plan.runs):
        raise typer.Exit(1)
