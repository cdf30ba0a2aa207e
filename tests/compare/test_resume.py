"""A comparison that is killed, wherever, goes on to the same bytes; what belongs to another one is refused."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from arena import plain_episode, plain_tools
from test_compare_run import known_tasks

import compare.journal
import compare.prepare
from compare import ComparisonSpec, meta_tasks
from compare.journal import Journal, Record
from compare.learners import LEARNERS
from compare.play import play
from compare.run import compare as run_comparison
from compare.run import resume
from compare.types import Learns
from icl.runs import Draft
from icl.runs.find import find_unfinished
from tasks import IclError, keyed_rng
from tasks.types import Task

LEARNERS_HERE = ("in-context", "protonet", "anil")


class Killed(BaseException):
    """Stands for SIGKILL, between one part and the next."""


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Task]:
    tasks = known_tasks(tmp_path)
    monkeypatch.setattr(compare.prepare, "load_task", lambda name, data_dir=None: tasks[name])
    monkeypatch.setattr(compare.journal, "EVERY", 0.0)
    monkeypatch.setattr(meta_tasks, "VALIDATION_EPISODES", 2)
    return tasks


@pytest.fixture
def spec(library: dict[str, Task], tiny_model_dir: Path) -> ComparisonSpec:
    return ComparisonSpec(
        "films", LEARNERS_HERE, k_shot=(2,), episodes=2, queries=6, model=str(tiny_model_dir), dtype="float32", device="cpu", meta_steps=2
    )


TIMES = frozenset({"cost.json", "report.html", "report.md"})


def contents(directory: Path, but: frozenset[str] = TIMES) -> dict[str, bytes]:
    """Every file but those that hold times."""
    return {str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*") if p.is_file() and p.name not in but}


def check_predictions(mine: Path, theirs: Path) -> None:
    """The same rows, and log-probabilities that agree to 1e-5."""
    ours, wanted = (pq.read_table(directory / "predictions.parquet").to_pylist() for directory in (mine, theirs))
    assert len(ours) == len(wanted) > 0
    for row, other in zip(ours, wanted, strict=True):
        assert {k: v for k, v in row.items() if not isinstance(v, float)} == {k: v for k, v in other.items() if not isinstance(v, float)}
        assert [v for v in row.values() if isinstance(v, float)] == pytest.approx(
            [v for v in other.values() if isinstance(v, float)], abs=1e-5
        )


def stop_after(parts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dies when so many more parts are kept."""
    left = [parts]
    real = Draft.keep

    def keep(self: Draft, part: str, write: Any) -> None:
        if not left[0]:
            raise Killed
        left[0] -= 1
        real(self, part, write)

    monkeypatch.setattr(Draft, "keep", keep)


def test_killed_again_and_again_it_ends_in_the_same_bytes(spec: ComparisonSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run_comparison(spec, out=tmp_path / "whole")
    out = tmp_path / "runs"
    kills = 0
    while True:
        with monkeypatch.context() as patch:
            stop_after(9, patch)
            try:
                run = resume(find_unfinished("latest", out)) if kills % 2 else run_comparison(spec, out=out)
                break
            except Killed:
                kills += 1
    assert kills > 2
    assert contents(run.dir) == contents(whole.dir)
    assert [path.name for path in out.iterdir()] == [run.name]
    costs, expected = run.read("cost"), whole.read("cost")
    for mine, theirs in zip(costs["rows"], expected["rows"], strict=True):
        assert mine["flops"] == theirs["flops"]
    assert costs["language_model_flops"] + costs["reused"]["flops"] > expected["language_model_flops"], "what was found is counted"


def test_a_process_that_is_killed_while_it_works(spec: ComparisonSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a store of its own: another process computed the features, whose last digits may be others."""
    whole = run_comparison(spec, out=tmp_path / "whole")
    code = f"""
        import os, signal, sys
        sys.path[:0] = [{str(Path(__file__).parent)!r}]
        from pathlib import Path
        import compare.journal, compare.prepare
        from test_compare_run import known_tasks
        from compare import ComparisonSpec, compare as run, meta_tasks
        from icl.runs import Draft
        tasks = known_tasks(Path({str(tmp_path)!r}))
        compare.prepare.load_task = lambda name, data_dir=None: tasks[name]
        compare.journal.EVERY = 0.0
        meta_tasks.VALIDATION_EPISODES = 2
        real = compare.journal._write
        def write(path, *rest):
            real(path, *rest)
            if "part-00008" in str(path):
                os.kill(os.getpid(), signal.SIGKILL)
        compare.journal._write = write
        run(ComparisonSpec(**{{**{spec.to_json()!r}, "k_shot": (2,), "learners": {spec.learners!r}}}), out={str(tmp_path / "runs")!r})
    """
    environment = {**os.environ, "ICL_SCORE_STORE": str(tmp_path / "other.sqlite")}
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], env=environment, capture_output=True, timeout=120)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    begun = find_unfinished("latest", tmp_path / "runs")
    assert len([part for part in (begun / "partial").iterdir() if part.name.startswith("part-")]) == 7
    monkeypatch.setenv("ICL_SCORE_STORE", environment["ICL_SCORE_STORE"])
    again = run_comparison(spec, out=tmp_path / "runs")
    assert again.dir == begun
    but = TIMES | {"predictions.parquet", "traces.json"}
    assert contents(again.dir, but) == contents(whole.dir, but)
    check_predictions(again.dir, whole.dir)


def test_what_another_spec_left_behind_is_refused_with_both_hashes(
    spec: ComparisonSpec, library: dict[str, Task], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "runs"
    with monkeypatch.context() as patch:
        stop_after(3, patch)
        with pytest.raises(Killed):
            run_comparison(spec, out=out)
    begun = find_unfinished("latest", out)
    old = compare.prepare.prepare(spec, None).resolved.hash()
    other = replace(spec, seed=1)
    new = compare.prepare.prepare(other, None).resolved.hash()
    stranger = begun.with_name(f"compare-films-{new[:10]}")
    shutil.copytree(begun, stranger)
    with pytest.raises(IclError, match=f"begun with spec {old}, but the same spec is {new} now"):
        run_comparison(other, out=out)
    values = json.loads((stranger / "spec.json").read_text(encoding="utf-8"))
    (stranger / "spec.json").write_text(json.dumps(compare.prepare.prepare(other, None).resolved.to_json()), encoding="utf-8")
    with pytest.raises(IclError, match=f"begun with spec {old}, but the same spec is {new} now"):
        run_comparison(other, out=out)  # its spec is right, its parts are not
    values["task_fingerprint"] = "0" * 64
    (begun / "spec.json").write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(IclError, match=f"but the same spec is {old} now"):
        resume(begun)


def test_a_damaged_part_is_said(tmp_path: Path) -> None:
    part = tmp_path / "run" / "partial" / "part-00001"
    part.mkdir(parents=True)
    (part / compare.journal.FILE).write_bytes(b"half of")
    with pytest.raises(IclError, match="is damaged"):
        Journal(Draft(tmp_path / "run"), "0", lambda: None, dict, lambda: None)


@pytest.mark.parametrize("name", ["linear-probe", "protonet", "matching-net", "maml", "reptile", "meta-sgd"])
def test_a_learner_comes_back_from_disk_as_it_was(name: str, tmp_path: Path) -> None:
    family, episodes = LEARNERS[name], [plain_episode(i) for i in range(4)]
    untrained = family.build(plain_tools(meta_steps=3), family.grid[-1])
    trained = untrained.meta_train(episodes, keyed_rng(0, "t"))
    assert isinstance(trained, Learns)
    draft = Draft(tmp_path / "run")
    journal = Journal(draft, "0", lambda: draft.partial.mkdir(parents=True), dict, lambda: None)
    journal.put("key", Record({}, trained.learnt()))
    journal.flush()
    kept = Journal(draft, "0", lambda: None, dict, lambda: None).get("key")
    assert kept is not None
    again = untrained.with_learnt(kept.tensors, trained.meta_flops)  # type: ignore[attr-defined]
    mine, theirs = (play(learner, plain_episode(9), 0).scores for learner in (again, trained))
    assert mine is not None
    assert theirs is not None
    assert mine.tobytes() == theirs.tobytes()
    assert again.meta_flops == trained.meta_flops
