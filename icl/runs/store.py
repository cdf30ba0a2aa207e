"""A run on disk.

While it is being made, a run keeps one directory per finished episode under `partial/`, each moved into place whole; `summary.json` is
written last and makes the run finished. So a run that is killed loses at most the episode under way, and the same command goes on.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from icl.runs.tables import Rows, read_table, write_tables
from icl.spec import ResolvedSpec
from tasks import Episode, IclError
from tasks.episodefile import write_episodes
from tasks.errors import unknown_name


@dataclass(frozen=True)
class Run:
    """A finished run, read from its directory."""

    dir: Path

    @property
    def name(self) -> str:
        """The directory's name: task and the beginning of the spec's hash."""
        return self.dir.name

    @cached_property
    def resolved(self) -> ResolvedSpec:
        """Everything that decided the result."""
        values = read_json(self.dir / "spec.json")
        return ResolvedSpec.from_json(values)

    @cached_property
    def summary(self) -> dict[str, Any]:
        """`summary.json`: the spec's hash and the metrics."""
        return read_json(self.dir / "summary.json")

    @cached_property
    def cost(self) -> dict[str, Any]:
        """`cost.json`."""
        return read_json(self.dir / "cost.json")

    @cached_property
    def environment(self) -> dict[str, Any]:
        """`environment.json`."""
        return read_json(self.dir / "environment.json")

    def table(self, name: str) -> Rows:
        """Rows of `predictions`, `content_free` or `prompts`."""
        return read_table(self.dir, name)

    def to_json(self) -> dict[str, Any]:
        """What `icl evaluate --json` prints."""
        facts = self.environment["run"]
        return {
            "run": self.name,
            "dir": str(self.dir),
            "task": facts["task"],
            "model": facts["model"],
            "n_episodes": facts["n_episodes"],
            "n_queries": facts["n_queries"],
            "metrics": self.summary["metrics"],
            "cost": self.cost,
        }


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file of a run. Raises IclError when the file is missing or broken."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise IclError(f"{path.parent} is not a finished run: it has no {path.name}") from error
    except json.JSONDecodeError as error:
        raise IclError(f"{path}:{error.lineno}: not valid JSON ({error.msg}); make the run again with --fresh") from error
    if not isinstance(values, dict):
        raise IclError(f"{path} must hold a JSON object, but holds a {type(values).__name__}")
    return values


def write_json(path: Path, values: Any) -> None:
    """Whole or not at all, the same bytes for the same values."""
    unfinished = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        text = json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False)
        unfinished.write_text(text + "\n", encoding="utf-8")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def is_finished(directory: Path) -> bool:
    """Whether a run directory holds a whole run."""
    return (directory / "summary.json").is_file()


def find_run(name: str, out: Path) -> Run:
    """A finished run by its name, the beginning of its name, or its directory."""
    if Path(name).is_dir() and is_finished(Path(name)):
        return Run(Path(name))
    finished = {run.name: run for run in list_runs(out)}
    matches = [run for key, run in finished.items() if key == name] or [run for key, run in finished.items() if key.startswith(name)]
    if len(matches) > 1:
        raise IclError(f"run '{name}' must name one run in {out}, but fits {', '.join(run.name for run in matches)}")
    if not matches:
        if (out / name / "partial").is_dir():
            raise IclError(f"run '{name}' is not finished; 'icl runs resume {name}' goes on with it")
        raise unknown_name("run", name, finished, f"(looked in {out}; --out names another directory)")
    return matches[0]


def find_unfinished(name: str, out: Path) -> Path:
    """The directory of a run that was begun, by its name, the beginning of its name, or its directory."""
    begun = {path.parent.name: path.parent for path in out.glob("*/partial") if path.is_dir()}
    if (Path(name) / "partial").is_dir():
        return Path(name)
    matches = [path for key, path in begun.items() if key == name] or [path for key, path in begun.items() if key.startswith(name)]
    if len(matches) > 1:
        raise IclError(f"run '{name}' must name one unfinished run in {out}, but fits {', '.join(path.name for path in matches)}")
    if not matches:
        raise unknown_name("unfinished run", name, begun, f"(looked in {out}; a finished run needs no resuming)")
    return matches[0]


def list_runs(out: Path) -> list[Run]:
    """Finished evaluations of a directory, oldest first (comparisons, which have no prompts of their own, are left out)."""
    found = [Run(path.parent) for path in out.glob("*/summary.json") if (path.parent / "prompts.parquet").is_file()]
    return sorted(found, key=lambda run: ((run.dir / "summary.json").stat().st_mtime, run.name))


class Draft:
    """A run being made."""

    def __init__(self, directory: Path) -> None:
        self.dir = directory
        self.partial = directory / "partial"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Refuses a second process that makes the same run at the same time."""
        from filelock import FileLock, Timeout

        self.dir.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.dir.parent / f".{self.dir.name}.lock", timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise IclError(f"another process is making run {self.dir.name}; wait for it, or use another --out") from error
        try:
            yield
        finally:
            lock.release()
            Path(lock.lock_file).unlink(missing_ok=True)

    def begin(self, resolved: ResolvedSpec, environment: dict[str, Any], episodes: Sequence[Episode]) -> None:
        """Writes what is known before the first score: enough to go on from. `partial` comes last: it says that the rest is there."""
        self.dir.mkdir(parents=True, exist_ok=True)
        write_json(self.dir / "spec.json", resolved.to_json())
        write_json(self.dir / "environment.json", environment)
        write_episodes(self.dir / "episodes.jsonl", episodes)
        self.partial.mkdir(exist_ok=True)

    def has(self, episode: str) -> bool:
        """Whether that episode is finished."""
        return (self.partial / episode).is_dir()

    def commit(self, episode: str, tables: dict[str, Rows], cost: dict[str, Any]) -> None:
        """Keeps a finished episode, whole."""
        work = Path(tempfile.mkdtemp(prefix=f".{episode}-", dir=self.partial))
        write_tables(work, tables)
        write_json(work / "cost.json", cost)
        work.replace(self.partial / episode)

    def costs(self, episodes: list[str]) -> list[dict[str, Any]]:
        """The cost records of finished episodes."""
        return [read_json(self.partial / episode / "cost.json") for episode in episodes]

    def finish(self, summary: dict[str, Any]) -> Run:
        """Writes the summary, which makes the run finished, and drops the parts."""
        write_json(self.dir / "summary.json", summary)
        shutil.rmtree(self.partial)
        return Run(self.dir)


def free_directory(directory: Path) -> Path:
    """The directory itself, or the first `NAME-2`, `NAME-3`, … that does not exist."""
    number = 2
    candidate = directory
    while candidate.exists():
        candidate = directory.with_name(f"{directory.name}-{number}")
        number += 1
    return candidate
