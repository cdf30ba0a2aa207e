"""`icl tasks mirror`."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from icl.cli.options import DataDir, Debug, Json, print_json, when_interrupted
from tasks.errors import IclError

if TYPE_CHECKING:
    from tasks.mirror import Mirrored


def mirror(
    tasks: Annotated[list[str], typer.Argument(metavar="TASK...", help="Tasks of the library, or paths of cards, with hub data.")],
    data_dir: DataDir = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Fetch hub data once into --data-dir, from where it is read without a network; what is there is left alone."""
    from tasks.cardfile import load_card
    from tasks.load import find_card
    from tasks.mirror import mirror_task

    if data_dir is None:
        raise IclError("--data-dir (or ICL_DATA_DIR) must name the directory of the mirror")
    for task in tasks:
        load_card(find_card(task))  # all names are looked at before anything is fetched
    values: list[dict[str, object]] = []
    for task in tasks:
        with when_interrupted(f"{len(values)} of {len(tasks)} data sets are in {data_dir}; the same command goes on"):
            found = mirror_task(task, data_dir.expanduser())
        values.append({**asdict(found), "directory": str(found.directory)})
        if not json:
            print(_said(found))
    if json:
        print_json(values)
    else:
        print(f"use it: icl evaluate {shlex.quote(tasks[0])} --data-dir {shlex.quote(str(data_dir))} (or set ICL_DATA_DIR)")


def _said(found: Mirrored) -> str:
    rows = ", ".join(f"{name} {count}" for name, count in found.rows.items())
    done = "written to" if found.made else "nothing to do, there is"
    if not found.source:
        return f"{found.task}: {done} {found.directory} (which this command did not make)"
    return f"{found.task}: {done} {found.directory} (rows: {rows})\n  from {found.source}; licence: {found.licence}"
