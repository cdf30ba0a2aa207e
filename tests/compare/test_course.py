"""A meta-training is measured along the way without being changed, its time left out; killed in the middle, it ends in the same bytes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from arena import plain_episode, plain_tools
from test_compare_run import known_tasks
from test_resume import check_predictions, contents

import compare.course
import compare.journal
import compare.prepare
from compare import ComparisonSpec, meta_tasks
from compare.course import POINTS, Course
from compare.journal import Forgetful, Record
from compare.learners import LEARNERS, language_course
from compare.meta_tasks import MetaEpisodes
from compare.midway import NAME, Midway
from compare.once import trained_once
from compare.play import play
from compare.run import compare as run_comparison
from compare.search import choose
from compare.types import Learner, Learns
from icl.runs.find import find_unfinished
from tasks import IclError, keyed_rng

TRAIN = tuple(plain_episode(i) for i in range(1, 9))
VALIDATION = tuple(plain_episode(i) for i in range(20, 24))
GRADIENT = ("maml", "fomaml", "reptile", "anil", "meta-sgd")


class Killed(BaseException):
    """Stands for SIGKILL."""


def trained(name: str, course: Course, steps: int = 20, entry: int = -1) -> Learner:
    family = LEARNERS[name]
    untrained = family.build(replace(plain_tools(meta_steps=steps), course=course), family.grid[entry])
    return untrained.meta_train(TRAIN, keyed_rng(0, "t"))


def bytes_of(learner: Learner) -> dict[str, bytes]:
    assert isinstance(learner, Learns)
    return {name: value.numpy().tobytes() for name, value in learner.learnt().items()}


@pytest.mark.parametrize("name", [*GRADIENT, "protonet", "matching-net-fce"])
def test_measuring_changes_nothing_and_agrees_with_the_referee(name: str) -> None:
    course = Course(TRAIN[:5], VALIDATION)
    watched, alone = trained(name, course), trained(name, Course())
    assert bytes_of(watched) == bytes_of(alone)
    assert [point.step for point in course.points] == [2 * i for i in range(POINTS + 1)]
    last = course.points[-1]
    assert last.train == pytest.approx([play(alone, episode, 0).accuracy for episode in TRAIN[:5]])
    assert last.validation == pytest.approx([play(alone, episode, 0).accuracy for episode in VALIDATION])
    assert course.points[0].train != last.train, "it has learnt something"


def test_an_episode_that_diverges_counts_as_chance() -> None:
    from compare.learners.outer_loop import by_adapting
    from compare.standardise import fit

    tools = plain_tools()
    standardiser = fit(tools.features, TRAIN)
    assert standardiser is not None
    broken = by_adapting(tools.features, standardiser, lambda meta, x, y: meta, lambda params, x: x[:, :2] * float("nan"))
    assert broken({}, TRAIN[:3]) == [0.5, 0.5, 0.5]


def test_few_steps_are_measured_once_each() -> None:
    course = Course(TRAIN[:2], ())
    trained("anil", course, steps=3)
    assert [(point.step, len(point.train), point.validation) for point in course.points] == [(i, 2, ()) for i in range(4)]


def test_the_time_of_measuring_is_not_the_learners() -> None:
    course = Course(TRAIN[:1], ())

    def train() -> Learner:
        course.watch(0, 1, lambda episodes: [time.sleep(0.2) or 0.5])  # type: ignore[func-returns-value]
        time.sleep(0.05)
        return LEARNERS["anil"].build(plain_tools(), LEARNERS["anil"].grid[0])

    found = trained_once(Forgetful(), "key", train(), train, course := Course(TRAIN[:1], ()))
    assert 0.05 <= found.seconds < 0.2
    assert [point.train for point in found.points] == [(0.5,)]


def test_the_curve_of_the_chosen_entry_comes_back_from_the_memory() -> None:
    records: dict[str, Record] = {}

    class Kept(Forgetful):
        def get(self, key: str) -> Record | None:
            return records.get(key)

        def put(self, key: str, record: Record) -> None:
            records[key] = record

    meta = MetaEpisodes(TRAIN, VALIDATION)
    first, again = (choose(LEARNERS["anil"], plain_tools(meta_steps=4), 4, meta, 0, memory=Kept()) for _ in range(2))
    assert len(first.points) == 5
    assert again.points == first.points
    assert again.meta_train_seconds == first.meta_train_seconds


def place(path: Path, key: str = "key", spec: str = "0") -> Midway:
    return Midway(path / NAME, key, spec, compare.journal.check_same_spec, lambda: None)


@pytest.mark.parametrize("name", [*GRADIENT, "matching-net", "matching-net-fce"])
def test_killed_in_the_middle_of_a_meta_training_it_ends_in_the_same_bytes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare.course, "EVERY", 0.0)
    whole = Course(TRAIN[:3], VALIDATION)
    expected = trained(name, whole, steps=12)

    class Mortal(Midway):
        def save(self, state: Any, facts: Mapping[str, Any]) -> None:
            if int(state.step) == 7:
                raise Killed
            super().save(state, facts)

    with pytest.raises(Killed):
        trained(name, Course(TRAIN[:3], VALIDATION, Mortal(*vars(place(tmp_path)).values())), steps=12)
    seen = []
    again = Course(TRAIN[:3], VALIDATION, place(tmp_path))
    monkeypatch.setattr(Midway, "save", lambda self, state, facts: seen.append(int(state.step)))
    learner = trained(name, again, steps=12)
    assert seen == [7, 8, 9, 10, 11, 12], "the first six steps were not done again"
    assert bytes_of(learner) == bytes_of(expected)
    assert again.points == whole.points


def test_the_state_of_another_training_is_left_alone_and_that_of_another_spec_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare.course, "EVERY", 0.0)
    trained("anil", Course(place=place(tmp_path)), steps=2)
    assert place(tmp_path).load() is not None
    assert place(tmp_path, key="other").load() is None
    with pytest.raises(IclError, match="begun with spec 0, but the same spec is 1 now"):
        place(tmp_path, spec="1").load()
    with pytest.raises(IclError, match="other parameters than its learner"):
        trained("maml", Course(place=place(tmp_path)), steps=2, entry=0)
    (tmp_path / NAME).write_bytes(b"half of")
    with pytest.raises(IclError, match="not a kept training state"):
        place(tmp_path).load()


@pytest.fixture
def spec(tmp_path: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> ComparisonSpec:
    tasks = known_tasks(tmp_path)
    monkeypatch.setattr(compare.prepare, "load_task", lambda name, data_dir=None: tasks[name])
    monkeypatch.setattr(meta_tasks, "VALIDATION_EPISODES", 2)
    monkeypatch.setattr(compare.course, "EVERY", 0.0)
    return ComparisonSpec(
        "films", ("reptile",), k_shot=(2,), episodes=2, queries=6, model=str(tiny_model_dir), dtype="float32", device="cpu", meta_steps=6
    )


def check_resumed(spec: ComparisonSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: list[int]) -> None:
    """Goes on in `runs`, and compares with the run in `whole`; `left`: the steps of the interrupted meta-training that are done now."""
    begun = find_unfinished("latest", tmp_path / "runs")
    assert (begun / "partial" / NAME).is_file()
    steps: list[tuple[str, int]] = []
    real = compare.midway.save_state

    def save(path: Path, state: Any, facts: Any) -> None:
        steps.append((facts["key"], int(state.step)))
        real(path, state, facts)

    monkeypatch.setattr(compare.midway, "save_state", save)
    again = run_comparison(spec, out=tmp_path / "runs")
    assert again.dir == begun
    assert [step for key, step in steps if key == steps[0][0]] == left
    whole = tmp_path / "whole" / begun.name
    assert contents(again.dir) == contents(whole)
    check_predictions(again.dir, whole)
    assert again.read("cost")["rows"][0]["seconds"]["meta_train"] > 0


def test_a_process_that_is_killed_in_the_middle_of_a_meta_training(
    spec: ComparisonSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_comparison(spec, out=tmp_path / "whole")
    code = f"""
        import os, signal, sys
        sys.path[:0] = [{str(Path(__file__).parent)!r}]
        from pathlib import Path
        import compare.course, compare.midway, compare.prepare
        from test_compare_run import known_tasks
        from compare import ComparisonSpec, compare as run, meta_tasks
        tasks = known_tasks(Path({str(tmp_path)!r}))
        compare.prepare.load_task = lambda name, data_dir=None: tasks[name]
        compare.course.EVERY = 0.0
        meta_tasks.VALIDATION_EPISODES = 2
        real = compare.midway.save_state
        def save(path, state, facts):
            real(path, state, facts)
            if facts["key"].endswith("/1") and int(state.step) == 4:
                os.kill(os.getpid(), signal.SIGKILL)
        compare.midway.save_state = save
        run(ComparisonSpec.from_json({spec.to_json()!r}), out={str(tmp_path / "runs")!r})
    """
    environment = {**os.environ, "ICL_SCORE_STORE": str(tmp_path / "other.sqlite")}
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], env=environment, capture_output=True, timeout=120)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    check_resumed(spec, tmp_path, monkeypatch, [5, 6])


def test_the_meta_training_of_the_language_model_goes_on_as_well(
    spec: ComparisonSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from compare.learners import metaicl

    settings = replace(metaicl.GRID[0], steps=5)
    monkeypatch.setitem(LEARNERS, "metaicl", replace(LEARNERS["metaicl"], grid=(settings,)))
    spec = replace(spec, learners=("metaicl",))
    run_comparison(spec, out=tmp_path / "whole")
    real = compare.midway.save_state

    def save(path: Path, state: Any, facts: Any) -> None:
        real(path, state, facts)
        if int(state.step) == 3:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(compare.midway, "save_state", save)
        with pytest.raises(Killed):
            run_comparison(spec, out=tmp_path / "runs")
    check_resumed(spec, tmp_path, monkeypatch, [4, 5])
    curve = json.loads((next((tmp_path / "runs").iterdir()) / "summary.json").read_text(encoding="utf-8"))["rows"][0]["course"]
    assert [point["step"] for point in curve] == [0, 1, 2, 4, 5]
    assert curve[0]["train"]["episodes"] == language_course.EPISODES
