"""A run on disk.

While it is being made, a run keeps one directory per finished section under `partial/`, each moved into place whole; `summary.json` is
written last and makes the run finished. So a run that is killed loses at most the section under way, and the same command goes on.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from icl.runs.files import UNFINISHED, damaged, read_json, write_json, writing
from icl.runs.tables import Rows, read_batches, read_table, write_tables
from icl.spec import ResolvedSpec
from tasks import Episode, IclError
from tasks.episodefile import write_episodes


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
        """Everything that decided the result. Raises IclError when the file is damaged, as all of these do."""
        return read_spec(self.dir)

    @cached_property
    def summary(self) -> dict[str, Any]:
        """`summary.json`: the spec's hash and the metrics."""
        return read_json(self.dir / "summary.json", "spec_sha256", "metrics")

    @cached_property
    def cost(self) -> dict[str, Any]:
        """`cost.json`."""
        return read_json(self.dir / "cost.json", "tokens_unique", "tokens_total", "flops", "seconds", "peak_memory_bytes")

    @cached_property
    def environment(self) -> dict[str, Any]:
        """`environment.json`."""
        return read_json(self.dir / "environment.json", "run", "model", "template", "data", "engine", "packages", "device", "dtype")

    @property
    def facts(self) -> dict[str, Any]:
        """What `environment.json` says of the run itself: task, kind, labels, model, numbers of episodes and queries, split."""
        facts: dict[str, Any] = self.environment["run"]
        return facts

    def table(self, name: str, columns: Sequence[str] | None = None) -> Rows:
        """Rows of `predictions`, `content_free`, `prompts` or `neighbours`, with all columns or some."""
        return read_table(self.dir, name, columns)

    def batches(self, name: str, columns: Sequence[str]) -> Iterator[Rows]:
        """Rows of a table, some at a time."""
        return read_batches(self.dir, name, columns)

    def to_json(self) -> dict[str, Any]:
        """What `icl evaluate --json` prints."""
        facts = self.facts
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


def read_spec(directory: Path) -> ResolvedSpec:
    """`spec.json` of a run, finished or not. Raises IclError when it is missing or damaged."""
    path = directory / "spec.json"
    try:
        return ResolvedSpec.from_json(read_json(path))
    except ValueError as error:  # pydantic's, with the places of what is wrong below its first line
        raise damaged(path, " ".join(str(error).split("\n")[1:3])) from error


def is_finished(directory: Path) -> bool:
    """Whether a run directory holds a whole run. What cannot be looked up does not: writing there will say why."""
    try:
        return (directory / "summary.json").is_file()
    except OSError:
        return False


class Resolved(Protocol):
    """A spec with every default filled in, of any command."""

    def to_json(self) -> dict[str, Any]:
        """As `spec.json` holds it."""
        ...


class Draft:
    """A run being made. Raises IclError for a place that cannot be written."""

    def __init__(self, directory: Path) -> None:
        if "\0" in str(directory):
            raise IclError(f"a path must not hold a NUL character, but --out is {str(directory.parent)!r}")
        self.dir = directory
        self.partial = directory / "partial"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Refuses a second process that makes the same run at the same time.

        The lock file is removed while the lock is held: who opened it before finds, once it gets the lock, that the file has no name any
        more, and takes a new one. Removed after the release, it could be the file of another that holds the lock by then.
        """
        from filelock import FileLock, Timeout

        path = self.dir.parent / f".{self.dir.name}.lock"
        lock = FileLock(path, timeout=0.2)
        with writing(path):
            self.dir.parent.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire()
            except Timeout as error:
                raise IclError(f"another process is making run {self.dir.name}; wait for it, or use another --out") from error
        try:
            yield
        finally:
            with suppress(OSError):  # a lock file that stays is in nobody's way
                path.unlink()
            lock.release()

    def begin(self, resolved: Resolved, environment: dict[str, Any], episodes: Sequence[Episode]) -> None:
        """Writes what is known before the first score: enough to go on from. `partial` comes last: it says that the rest is there."""
        with writing(self.dir):
            self.dir.mkdir(parents=True, exist_ok=True)
            write_json(self.dir / "spec.json", resolved.to_json())
            write_json(self.dir / "environment.json", environment)
            write_episodes(self.dir / "episodes.jsonl", episodes)
            self.partial.mkdir(exist_ok=True)

    def is_fresh(self) -> bool:
        """Whether the run was begun with `fresh`: then it goes on without the score store's help as well."""
        return bool(read_json(self.dir / "environment.json").get("fresh", False))

    def label_words(self) -> dict[str, str]:
        """Label words that the run found when it was begun (`--labels auto`), to go on with the same; empty when there are none."""
        path = self.dir / "environment.json"
        words: dict[str, str] = read_json(path, "run")["run"].get("label_words", {}) if path.is_file() else {}
        return words

    def batch_tokens(self) -> int | None:
        """What was left of `--batch-tokens` after running out of memory; None when that has not happened."""
        path = self.dir / "plan.json"
        return int(read_json(path, "batch_tokens")["batch_tokens"]) if path.is_file() else None

    def keep_batch_tokens(self, count: int) -> None:
        """So that the run goes on with equal passes when it is resumed."""
        write_json(self.dir / "plan.json", {"batch_tokens": count})

    def has(self, section: str) -> bool:
        """Whether that section is finished."""
        return (self.partial / section).is_dir()

    def commit(self, section: str, tables: dict[str, Rows], cost: dict[str, Any]) -> None:
        """Keeps a finished section, whole."""

        def write(work: Path) -> None:
            write_tables(work, tables)
            write_json(work / "cost.json", cost)

        self.keep(section, write)

    def keep(self, part: str, write: Callable[[Path], None]) -> None:
        """Keeps a finished part, whole: what `write` puts into the directory that it is given."""
        with writing(self.partial):
            work = Path(tempfile.mkdtemp(prefix=f".{part}-", dir=self.partial))
            write(work)
            work.replace(self.partial / part)

    def costs(self, sections: list[str]) -> list[dict[str, Any]]:
        """The cost records of finished sections."""
        return [read_json(self.partial / section / "cost.json") for section in sections]

    def finish(self, summary: dict[str, Any]) -> Run:
        """Writes the summary, which makes the run finished, and drops the parts."""
        write_json(self.dir / "summary.json", summary)
        self._sweep()
        return Run(self.dir)

    def tidy(self) -> None:
        """Drops the parts of a finished run that was killed before it did so itself; nothing while another process is at it."""
        if self.partial.exists():
            with suppress(IclError), self.locked():
                self._sweep()

    def _sweep(self) -> None:
        """Removes the parts, and the unfinished files of killed writes: the lock is held, so nobody is writing them.

        The run is finished by now: a part that cannot be removed takes room, but makes no result wrong.
        """
        shutil.rmtree(self.partial, ignore_errors=True)
        for path in self.dir.glob(f".*{UNFINISHED}*"):
            path.unlink(missing_ok=True)


def free_directory(directory: Path) -> Path:
    """The directory itself, or the first `NAME-2`, `NAME-3`, … that does not exist, or holds a fresh run to go on with."""
    number = 2
    candidate = directory
    while candidate.exists() and not (Draft(candidate).partial.is_dir() and Draft(candidate).is_fresh()):
        candidate = directory.with_name(f"{directory.name}-{number}")
        number += 1
    return candidate
