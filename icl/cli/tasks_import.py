"""`icl tasks import`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from icl.cli.options import Debug, Json, print_json
from tasks.errors import IclError

if TYPE_CHECKING:
    from icl.lmeval import Imported


def import_tasks(
    tasks: Annotated[list[str], typer.Argument(metavar="FILE.yaml|NAME...", help="YAML files, or names of tasks with --from.")],
    directory: Annotated[
        Path | None, typer.Option("--from", metavar="DIR", help="Where names are looked for. [default: an installed lm_eval]")
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where cards and templates are written.")] = Path(),
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Tasks of lm-evaluation-harness (YAML without Python) as cards and templates that write the same prompts."""
    from icl.lmeval import find_yaml, import_task

    found = [import_task(find_yaml(name, directory), out) for name in tasks]
    _write(found, out)
    if json:
        print_json([_facts(one) for one in found])
        return
    for one in found:
        print(f"{one.name}: written to {one.card} and {one.template.name}; not carried over, or done otherwise:")
        for line in one.left_out:
            print(f"  - {line}")
        print(f"  use it: icl evaluate {shlex.quote(str(one.card))} --model MODEL{_shots(one)}")


def _shots(one: Imported) -> str:
    return "" if one.shots is None else f" --shots {one.shots}"


def _facts(one: Imported) -> dict[str, object]:
    return {
        "name": one.name,
        "card": str(one.card),
        "template": str(one.template),
        "left_out": list(one.left_out),
        "shots": one.shots,
    }


def _write(found: list[Imported], out: Path) -> None:
    """All files or none; none may exist before."""
    from icl.runs.files import writing

    texts = {path: text for one in found for path, text in ((one.template, one.template_text), (one.card, one.card_text))}
    if len(texts) < 2 * len(found):
        raise IclError("the tasks to import must have different names, but two of them share one")
    if there := [path for path in texts if path.exists()]:
        raise IclError(f"{there[0]} must be a new file, but it exists; remove it or choose another --out")
    written: list[Path] = []
    try:
        with writing(out):
            out.mkdir(parents=True, exist_ok=True)
            for path, text in texts.items():
                with path.open("x", encoding="utf-8", newline="\n") as file:
                    written.append(path)
                    file.write(text)
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise
