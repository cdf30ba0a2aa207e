"""Runs on disk: kills between any two steps, the lock, old and damaged runs, finding them by name."""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock, Timeout

from icl import RunSpec, evaluate
from icl.evaluation import resume
from icl.runs import Draft, Run, find_run, list_runs, write_json
from icl.runs.find import find_unfinished
from icl.runs.settings import differences
from icl.spec import PROTOCOL, ResolvedSpec
from tasks import IclError


@pytest.fixture
def spec(own_task: Path, tiny_model_dir: Path) -> RunSpec:
    return RunSpec(
        str(own_task), model=str(tiny_model_dir), shots=1, episodes=2, queries=2, calibration=("none",), dtype="float32", device="cpu"
    )


class Killed(BaseException):
    """Stands for SIGKILL: nothing that the process would do afterwards is done."""


class Killer:
    """Ends the process before its nth change of the file system below a directory, and refuses every later one.

    A file that would be opened for writing is left half-written instead of untouched: the worst that a kill can leave.
    """

    def __init__(self, below: Path) -> None:
        self.below = str(below)
        self.at: int | None = None
        self.steps: list[str] = []
        self.on = False
        sys.addaudithook(self._hear)

    @contextmanager
    def killing(self, at: int | None) -> Iterator[None]:
        self.at, self.steps, self.on = at, [], True
        try:
            yield
        finally:
            self.on = False

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on or event not in {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir"}:
            return
        path = arguments[0]
        if event in {"os.remove", "os.rmdir"} and arguments[1] != -1:  # rmtree goes down by directory handles
            self.step(f"{event} … {path}", None)
            return
        writes = event != "open" or bool(arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        if not writes or not isinstance(path, str | os.PathLike) or not str(path).startswith(self.below):
            return
        self.step(f"{event} {path}", Path(path) if event == "open" else None)

    def step(self, what: str, opened: Path | None) -> None:
        if what.endswith(".lock"):
            return  # the operating system frees a lock
        self.steps.append(what)
        if self.at is None or len(self.steps) <= self.at:
            return
        if len(self.steps) == self.at + 1 and opened is not None:
            self.on = False
            opened.write_bytes(b'{"half')
            self.on = True
        raise Killed(what)


@pytest.fixture
def killer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Killer:
    """Watches tmp_path/runs. Arrow writes its files past Python's audit events, and is asked at its door."""
    import pyarrow.parquet as pq

    made = Killer(tmp_path / "runs")
    write = pq.write_table

    def watched(table: Any, where: Path, **options: Any) -> None:
        if made.on and str(where).startswith(made.below):
            made.step(f"write {where}", where)
        write(table, where, **options)

    monkeypatch.setattr(pq, "write_table", watched)
    return made


def contents(directory: Path) -> dict[str, bytes]:
    """Every file but those that hold times."""
    timed = {"cost.json", "report.html"}
    return {str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*") if p.is_file() and p.name not in timed}


def unfinished(out: Path) -> bool:
    return any(not (path.parent / "summary.json").exists() for path in out.glob("*/partial"))


def test_a_kill_between_any_two_steps_ends_well(spec: RunSpec, tmp_path: Path, killer: Killer) -> None:
    """In begin, commit and finish alike: the same command then makes a whole run of the same bytes, and leaves nothing else."""
    out = tmp_path / "runs"
    with killer.killing(None):
        whole = evaluate(spec, out=out)
    expected, steps = contents(whole.dir), killer.steps
    names = {path.name for path in whole.dir.iterdir()}
    said = "\n".join(steps)
    for part in (
        "spec.json",
        "environment.json",
        "episodes.jsonl",
        "partial",
        "prompts.parquet",
        "cost.json",
        "report.html",
        "summary.json",
    ):
        assert part in said, f"no kill was tried at {part}"
    after_summary = next(i for i, step in enumerate(steps) if step.startswith("os.rename") and "summary.json" in step)
    assert sum("os.rmdir" in step or "os.remove …" in step for step in steps[after_summary:]) > 6, "nor while the parts are removed"
    for at in range(len(steps)):
        shutil.rmtree(out)
        with pytest.raises(Killed), killer.killing(at):
            evaluate(spec, out=out)
        if at % 2 and unfinished(out):
            resume(find_unfinished("latest", out))
        again = evaluate(spec, out=out)
        assert contents(again.dir) == expected, f"killed at step {at}: {steps[at]}"
        assert {path.name for path in again.dir.iterdir()} == names, f"killed at step {at}: {steps[at]}"
        assert "</html>" in (again.dir / "report.html").read_text(encoding="utf-8")
        assert json.loads((again.dir / "cost.json").read_text(encoding="utf-8"))["seconds"]
        assert not [path for path in out.iterdir() if path != again.dir]


def is_free(lock: Path) -> bool:
    try:
        with FileLock(lock, timeout=0):
            return True
    except Timeout:
        return False


def test_the_lock_file_goes_while_the_lock_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the release it could be another's: the next one would then make a new file, and two would hold "the" lock."""
    free_when_removed: list[bool] = []
    unlink = Path.unlink

    def watched(path: Path, missing_ok: bool = False) -> None:
        free_when_removed.append(is_free(path))
        unlink(path, missing_ok)

    with monkeypatch.context() as patched, Draft(tmp_path / "run").locked():
        patched.setattr(Path, "unlink", watched)
        assert not is_free(tmp_path / ".run.lock")
    assert free_when_removed == [False]
    assert list(tmp_path.iterdir()) == []


def test_who_waited_for_the_lock_holds_the_file_of_that_name(tmp_path: Path) -> None:
    """And not the nameless one that the holder before removed."""
    lock, entered, leave = tmp_path / ".run.lock", threading.Event(), threading.Event()

    def wait() -> None:
        with Draft(tmp_path / "run").locked():
            entered.set()
            leave.wait(10)

    waiting = threading.Thread(target=wait)
    with Draft(tmp_path / "run").locked():
        waiting.start()
        time.sleep(0.05)
    assert entered.wait(10)
    assert lock.exists()
    assert not is_free(lock)
    leave.set()
    waiting.join()


def test_a_run_that_is_being_made_is_refused_to_a_second_process(spec: RunSpec, tmp_path: Path) -> None:
    whole = evaluate(spec, out=tmp_path / "a")
    with Draft(tmp_path / "b" / whole.name).locked(), pytest.raises(IclError, match=f"another process is making run {whole.name}"):
        evaluate(spec, out=tmp_path / "b")


def test_a_run_that_another_process_finished_meanwhile_is_not_made_again(
    spec: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import icl.evaluation as evaluation

    whole = evaluate(spec, out=tmp_path)
    stamp = (whole.dir / "summary.json").stat().st_mtime_ns
    looks = iter([False])  # before the lock it was not there yet
    monkeypatch.setattr(evaluation, "is_finished", lambda directory: next(looks, True))
    assert evaluate(spec, out=tmp_path).dir == whole.dir
    assert (whole.dir / "summary.json").stat().st_mtime_ns == stamp


def test_the_protocol_is_part_of_a_runs_name(spec: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = evaluate(spec, out=tmp_path)
    written = json.loads((run.dir / "spec.json").read_text(encoding="utf-8"))
    assert written["protocol"] == run.resolved.protocol == PROTOCOL
    other = replace(run.resolved, protocol=PROTOCOL + 1)
    assert other.hash() != run.resolved.hash()


def test_a_run_from_before_the_protocol_is_listed_and_shown(spec: RunSpec, tmp_path: Path) -> None:
    """Its hash was taken without one, and still is."""
    run = evaluate(spec, out=tmp_path)
    old = tmp_path / "my-sentiment-0123456789"
    shutil.copytree(run.dir, old)
    values = json.loads((old / "spec.json").read_text(encoding="utf-8"))
    del values["protocol"]
    write_json(old / "spec.json", values)
    resolved = find_run(old.name, tmp_path).resolved
    assert resolved.protocol == 0
    assert resolved.to_json() == values
    assert resolved.hash() != run.resolved.hash()
    assert {found.name for found in list_runs(tmp_path)} == {run.name, old.name}
    said = differences(["t", "t"], [run.resolved, resolved])
    assert said == ["1 shot, protocol 2", "1 shot, protocol 0"]


def test_a_run_that_another_program_began_does_not_go_on(spec: RunSpec, tmp_path: Path) -> None:
    run = evaluate(spec, out=tmp_path)
    begun = tmp_path / "my-sentiment-0123456789"
    (begun / "partial").mkdir(parents=True)
    shutil.copy(run.dir / "episodes.jsonl", begun)
    write_json(begun / "spec.json", {**run.resolved.to_json(), "protocol": PROTOCOL + 1})
    with pytest.raises(IclError, match="cannot go on: the program has changed since"):
        resume(begun)


def test_runs_are_found_by_name_beginning_directory_and_latest(spec: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(IclError, match="'latest' must name a finished run, but there is none"):
        find_run("latest", tmp_path)
    first = evaluate(spec, out=tmp_path)
    os.utime(first.dir / "summary.json", (1, 1))
    second = evaluate(replace(spec, seed=1), out=tmp_path)
    for name, run in ((first.name, first), (first.name[:-3], first), (str(second.dir), second), ("latest", second)):
        assert find_run(name, tmp_path).dir == run.dir
    with pytest.raises(IclError, match=rf"must name one run in .*, but fits {first.name}, {second.name}; .* 'latest' for the newest"):
        find_run("my-sentiment", tmp_path)
    (second.dir / "summary.json").unlink()
    (second.dir / "partial").mkdir()
    assert find_run("latest", tmp_path).dir == first.dir
    assert find_unfinished("latest", tmp_path) == second.dir
    with pytest.raises(IclError, match=f"run '{second.name}' is not finished; 'icl runs resume {second.name}' goes on"):
        find_run(second.name, tmp_path)


def test_a_comparison_is_called_one(tmp_path: Path) -> None:
    directory = tmp_path / "compare-movie-sentiment-0123456789"
    directory.mkdir()
    write_json(directory / "spec.json", {"kind": "compare"})
    write_json(directory / "summary.json", {})
    assert list_runs(tmp_path) == []
    for name in (directory.name, "compare", str(directory)):
        with pytest.raises(IclError, match=r"is a comparison.*report\.html"):
            find_run(name, tmp_path)


def damages() -> dict[str, Callable[[Path], object]]:
    """What can happen to the files of a run."""
    return {
        "spec.json is no JSON": lambda d: (d / "spec.json").write_text("{", encoding="utf-8"),
        "spec.json is another's": lambda d: (d / "spec.json").write_text('{"a": 1}', encoding="utf-8"),
        "spec.json has a wrong value": lambda d: write_json(
            d / "spec.json", {**json.loads((d / "spec.json").read_text()), "spec": {"task": 1}}
        ),
        "spec.json is a list": lambda d: (d / "spec.json").write_text("[]", encoding="utf-8"),
        "spec.json is no text": lambda d: (d / "spec.json").write_bytes(b"\xff\xfe\x00"),
        "spec.json is gone": lambda d: (d / "spec.json").unlink(),
        "summary.json is empty": lambda d: (d / "summary.json").write_text("", encoding="utf-8"),
        "summary.json has no metrics": lambda d: (d / "summary.json").write_text("{}", encoding="utf-8"),
        "environment.json is empty": lambda d: (d / "environment.json").write_text("{}", encoding="utf-8"),
    }


@pytest.mark.parametrize("damage", damages())
def test_a_damaged_run_is_one_line_that_names_the_file(spec: RunSpec, tmp_path: Path, damage: str) -> None:
    run = evaluate(spec, out=tmp_path)
    damages()[damage](run.dir)
    found = find_run(run.name, tmp_path)
    with pytest.raises(IclError) as caught:
        _ = (found.resolved, found.to_json())
    assert damage.split()[0] in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["predictions", "prompts", "content_free"])
def test_a_table_that_is_gone_or_cut_is_one_line(spec: RunSpec, tmp_path: Path, name: str) -> None:
    run = evaluate(spec, out=tmp_path)
    path = run.dir / f"{name}.parquet"
    for cut in (100, 4, 0):
        path.write_bytes(path.read_bytes()[:cut])
        with pytest.raises(IclError, match=rf"{name}\.parquet is damaged: .*; make the run again with --fresh"):
            Run(run.dir).table(name)
    path.unlink()
    with pytest.raises(IclError, match=rf"{name}\.parquet is damaged: the file is missing"):
        Run(run.dir).table(name)


def test_what_differs_between_runs_is_said_and_nothing_else(spec: RunSpec) -> None:
    def resolved(template: str = "c", **changes: Any) -> ResolvedSpec:
        return ResolvedSpec(replace(spec, **changes), "a" * 64, "b" * 64, template * 64, "d" * 64)

    runs = [resolved(), resolved(selector="knn"), resolved(seed=1, shots=2), resolved(shots=8, selector="bm25"), resolved("e"), resolved()]
    assert differences(["one", "one", "one", "two", "one", "three"], runs) == [
        "1 shot, random, seed 0, template cccccc",
        "1 shot, knn, seed 0",
        "2 shots, random, seed 1",
        "8 shots",
        "1 shot, random, seed 0, template eeeeee",
        "1 shot",
    ]
