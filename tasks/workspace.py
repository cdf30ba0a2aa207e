"""A workspace: tasks that somebody collects, each card with its data, in versions that are never changed.

    WORKSPACE/tasks/NAME/1/NAME.yaml and what it reads, WORKSPACE/tasks/NAME/2/…

`NAME` is the newest version, `NAME@1` an older one. The workspace is `ICL_WORKSPACE`, or `workspace` in the current directory.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tasks.cache import locked, scratch_beside
from tasks.card import TaskCard
from tasks.cardfile import load_card
from tasks.cardsource import FilesSource
from tasks.errors import IclError, unknown_name
from tasks.sources.files import inside

SETTING = "ICL_WORKSPACE"
DEFAULT = "workspace"
MARK = "@"
"""Between a task's name and a version."""
RESERVED = ("meta-train",)
"""Names that a command takes for something else."""


def workspace_dir(given: Path | None = None) -> Path:
    """The directory asked for, or the environment's, or the default."""
    return (given or Path(os.environ.get(SETTING, "").strip() or DEFAULT)).expanduser()


def workspace_names(workspace: Path) -> list[str]:
    """Tasks of a workspace, sorted; none where there is no workspace."""
    return sorted(path.name for path in (workspace / "tasks").glob("[!.]*") if versions(workspace, path.name))


def versions(workspace: Path, name: str) -> list[int]:
    """Versions of a task, oldest first."""
    return sorted(int(path.name) for path in (workspace / "tasks" / name).glob("[0-9]*") if path.name.isdigit() and path.is_dir())


def workspace_card(name: str, workspace: Path) -> Path | None:
    """The card of `NAME` or `NAME@VERSION`; None for a name that the workspace does not have. Raises IclError for an unknown version."""
    plain, _, version = name.partition(MARK)
    if plain not in workspace_names(workspace):
        return None
    known = versions(workspace, plain)
    if version and version not in map(str, known):
        raise unknown_name("version of task", name, [f"{plain}{MARK}{number}" for number in known])
    return workspace / "tasks" / plain / (version or str(known[-1])) / f"{plain}.yaml"


@dataclass(frozen=True)
class Added:
    """A registered card."""

    name: str
    version: int
    path: Path
    made: bool
    """False when the newest version is the same, byte for byte."""


def add_task(card_path: Path, workspace: Path, taken: list[str], check: Callable[[Path], None]) -> Added:
    """Copies a card and the files that it names into the workspace, as a new version unless nothing has changed.

    `taken`: names that mean other tasks. `check` is called with the copy, and raises IclError for one that cannot be used; it is then not
    kept. Raises IclError for such a name, and for a card or data that cannot be read.
    """
    card = load_card(card_path)
    if card.name in (*taken, *RESERVED):
        whose = "a word of 'icl compare'" if card.name in RESERVED else "a task of the library"
        raise IclError(f"the name of a task in a workspace must be free, but '{card.name}' is {whose}; change 'name' in {card_path}")
    home = workspace / "tasks" / card.name
    with locked(home, SETTING):
        home.mkdir(exist_ok=True)
        known = versions(workspace, card.name)
        with scratch_beside(home / "new", SETTING) as scratch:
            made = scratch / "made"
            _copy(card, card_path, made)
            if known and contents_sha256(made) == contents_sha256(home / str(known[-1])):
                return Added(card.name, known[-1], home / str(known[-1]) / f"{card.name}.yaml", made=False)
            check(made / f"{card.name}.yaml")
            version = known[-1] + 1 if known else 1
            made.replace(home / str(version))
    return Added(card.name, version, home / str(version) / f"{card.name}.yaml", made=True)


def _copy(card: TaskCard, card_path: Path, to: Path) -> None:
    """The card, its data files where they stand beside it, and its template."""
    files = [*card.source.files().values()] if isinstance(card.source, FilesSource) else []
    if card.template.endswith(".jinja") and (card_path.parent / card.template).is_file():
        files.append(card.template)
    to.mkdir()
    for name in files:
        target = to / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(inside(card_path.parent, name), target)
    shutil.copyfile(card_path, to / f"{card.name}.yaml")


def contents_sha256(directory: Path) -> str:
    """Over names and bytes of all files."""
    digest = hashlib.sha256()
    for path in sorted(path for path in directory.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            digest.update(f"{path.relative_to(directory).as_posix()}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()
