"""`icl compare meta-train`: versions that go on from each other as tasks come, and what one of them is good for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from arena import review_task

import compare.course
import compare.growing
from compare.checkpoint import load_state
from compare.growing import MIDWAY, Wish, meta_train
from compare.versions import read_version
from icl.cli.main import main
from tasks import IclError
from tasks.load import library_names
from tasks.workspace import add_task


def collect(directory: Path, workspace: Path, name: str, **changes: Any) -> None:
    """Registers a made-up task."""
    directory.mkdir(exist_ok=True)
    review_task(directory, name, **changes)
    add_task(directory / f"{name}.yaml", workspace, library_names(), lambda copy: None)


@pytest.fixture
def wish(tmp_path: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Wish:
    workspace = tmp_path / "collected"
    monkeypatch.setenv("ICL_WORKSPACE", str(workspace))
    collect(tmp_path / "mine", workspace, "books")
    collect(tmp_path / "mine", workspace, "songs")
    return Wish("anil", workspace, k_shot=2, model=str(tiny_model_dir), dtype="float32", device="cpu", meta_steps=6)


def files(home: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(home.iterdir()) if path.suffix == ".safetensors"}


def test_a_version_goes_on_from_the_one_before_with_the_tasks_that_have_come(wish: Wish, tmp_path: Path) -> None:
    first = meta_train(wish, go_on=False)
    assert (first.number, first.steps) == (1, 6)
    assert [(task.name, task.since) for task in first.tasks] == [("books", 1), ("songs", 1)]
    kept = files(wish.home)
    collect(tmp_path / "mine", wish.workspace, "games")
    second = meta_train(wish, go_on=True)
    assert (second.number, second.steps) == (2, 12)
    assert [(task.name, task.since) for task in second.tasks] == [("books", 1), ("songs", 1), ("games", 2)]
    assert second.spec_sha256 == first.spec_sha256
    assert read_version(second.path) == second
    assert read_version(wish.home / "v1.json") == first
    assert {name: files(wish.home)[name] for name in kept} == kept, "the old version is as it was"
    before, after = first.learnt(), second.learnt()
    assert all((before[name] == after[name]).all() for name in before if name.startswith("standardiser")), "the scale of features stays"
    assert any((before[name] != after[name]).any() for name in before if name.startswith("own/"))
    assert [point.step for point in second.points] == [6, 7, 8, 9, 10, 11, 12]
    assert second.points[0].train != (), "measured before its first own step, too"
    assert second.meta_flops == 2 * first.meta_flops
    assert second.seconds > first.seconds


def test_two_versions_are_one_training_where_no_task_has_come(wish: Wish) -> None:
    """Parameters and optimiser go on exactly: the state that version 2 begins from is the one that version 1 ended in."""
    first = meta_train(wish, go_on=False)
    begun: list[Any] = []
    real = compare.course.Course.resumed

    def resumed(self: Any, start: Any, rng: Any, facts: Any) -> Any:
        begun.append(real(self, start, rng, facts))
        return begun[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compare.course.Course, "resumed", resumed)
        meta_train(wish, go_on=True)
    (state,) = begun
    ended, _ = load_state(wish.home / "v1.state.safetensors")
    assert int(state.step) == first.steps
    for part in ("params", "first", "second"):
        assert all((getattr(state, part)[name] == value).all() for name, value in getattr(ended, part).items())


def killed(wish: Wish, saves: int, go_on: bool) -> None:
    """Meta-trains in a process that is killed right after so many states have been kept, one after each step."""
    code = f"""
        import os, signal
        from pathlib import Path
        import compare.course, compare.midway
        from compare.growing import Wish, meta_train
        compare.course.EVERY = 0.0
        real, steps = compare.midway.save_state, []
        def save(path, state, facts):
            real(path, state, facts)
            steps.append(int(state.step))
            if len(steps) == {saves}:
                os.kill(os.getpid(), signal.SIGKILL)
        compare.midway.save_state = save
        wish = Wish("anil", Path({str(wish.workspace)!r}), k_shot=2, model={wish.model!r}, dtype="float32", device="cpu", meta_steps=6)
        meta_train(wish, go_on={go_on})
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, timeout=120, env=dict(os.environ))
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()


@pytest.mark.parametrize(
    ("go_on", "saves", "left"), [(True, 4, [11, 12]), (False, 10, [5, 6, 1, 2, 3, 4, 5, 6])], ids=["continued", "while settings are chosen"]
)
def test_killed_in_the_middle_it_ends_in_the_same_bytes(
    wish: Wish, go_on: bool, saves: int, left: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    if go_on:
        meta_train(wish, go_on=False)
    killed(wish, saves, go_on)
    assert list(wish.home.glob(MIDWAY.format("*")))
    steps: list[int] = []
    monkeypatch.setattr(compare.course, "EVERY", 0.0)
    monkeypatch.setattr(compare.midway, "save_state", lambda path, state, facts: steps.append(int(state.step)))
    version = meta_train(wish, go_on=go_on)
    assert steps[: len(left)] == left, "what was kept is not done again"
    assert not list(wish.home.glob(MIDWAY.format("*")))
    resumed = files(wish.home)
    for path in wish.home.glob(f"v{version.number}.*"):
        path.unlink()
    meta_train(wish, go_on=go_on)
    assert files(wish.home) == resumed


def test_a_state_of_another_spec_is_not_gone_on_with(wish: Wish, monkeypatch: pytest.MonkeyPatch) -> None:
    killed(wish, 10, go_on=False)
    steps: list[int] = []
    monkeypatch.setattr(compare.growing, "PROTOCOL", -1)
    monkeypatch.setattr(compare.course, "EVERY", 0.0)
    monkeypatch.setattr(compare.midway, "save_state", lambda path, state, facts: steps.append(int(state.step)))
    meta_train(wish, go_on=False)
    assert steps[:6] == [1, 2, 3, 4, 5, 6]


def test_another_spec_is_refused_with_both_hashes(wish: Wish, tmp_path: Path) -> None:
    first = meta_train(wish, go_on=False)
    for other, named in ((replace(wish, k_shot=1), "k_shot"), (replace(wish, seed=1), "seed"), (replace(wish, dtype="bfloat16"), "dtype")):
        with pytest.raises(IclError, match=rf"made with spec {first.spec_sha256}, but now the spec is [0-9a-f]{{64}} \(other {named}\)"):
            meta_train(other, go_on=True)
    collect(tmp_path / "mine", wish.workspace, "topics", labels=("sport", "trade"))
    with pytest.raises(IclError, match=r"\(other labels\)"):
        meta_train(replace(wish, tasks=("topics",)), go_on=True)
    assert meta_train(wish, go_on=True).tasks == first.tasks, "topics has other labels, and takes no part"


def test_beginning_twice_and_going_on_from_nothing_are_refused(wish: Wish, tmp_path: Path) -> None:
    with pytest.raises(IclError, match="--continue needs a version to go on from"):
        meta_train(wish, go_on=True)
    meta_train(wish, go_on=False)
    with pytest.raises(IclError, match="has version 1 already; --continue goes on from it"):
        meta_train(wish, go_on=False)
    damaged = wish.home / "v1.json"
    damaged.write_text(damaged.read_text(encoding="utf-8").replace('"k_shot": 2', '"k_shot": 3'), encoding="utf-8")
    with pytest.raises(IclError, match=r"is damaged: its spec has the hash"):
        meta_train(wish, go_on=True)


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["compare", *arguments])
    out = capsys.readouterr()
    return code, out.out, out.err


def test_the_command_and_a_version_in_a_comparison(wish: Wish, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    same = ["--model", wish.model, "--dtype", "float32", "--device", "cpu", "--k-shot", "2"]
    code, out, err = call(capsys, "meta-train", "anil", "--meta-steps", "6", *same)
    assert code == 0, err
    assert "version 1 of anil: 6 outer steps on 2 tasks; new: books, songs" in out
    code, out, err = call(capsys, "meta-train", "anil", "--continue", "--meta-steps", "4", "--json", *same)
    assert code == 0, err
    printed = json.loads(out)
    assert (printed["number"], printed["steps"], Path(printed["path"]).name) == (2, 10, "v2.json")
    collect(tmp_path / "mine", wish.workspace, "films")
    played = [
        "films",
        "--learners",
        "in-context,anil",
        "--episodes",
        "2",
        "--queries",
        "6",
        "--out",
        str(tmp_path / "runs"),
        "--json",
        *same,
    ]
    rows = []
    for version in ("v1", "v2"):
        code, out, err = call(capsys, *played, "--meta-trained", str(wish.home / f"{version}.json"))
        assert code == 0, err
        rows.append(json.loads(out))
    assert rows[0]["run"] != rows[1]["run"]
    page = (Path(rows[1]["dir"]) / "report.md").read_text(encoding="utf-8")
    assert "Meta-trained before: anil, version 2: 10 outer steps on books, songs" in page
    code, _, err = call(capsys, *played, "--meta-trained", str(wish.home / "v2.json"), "--meta-test", "books")
    assert code == 2
    assert "must not know what it is compared on, 'books'" in err
    (wish.home / "v2.safetensors").write_bytes(b"other")
    code, _, err = call(capsys, *played, "--fresh", "--meta-trained", str(wish.home / "v2.json"))
    assert code == 2
    assert "missing or another one" in err


MISTAKES = {
    "no learner": ([], "meta-train needs a learner"),
    "unknown learner": (["anli"], "did you mean anil"),
    "no outer steps": (["protonet"], "outer steps move a head, but protonet is none; choose one of maml, fomaml, reptile, anil, meta-sgd"),
    "a network of its own": (["matching-net-fce"], "but matching-net-fce is none"),
    "an option of comparisons": (["anil", "--episodes", "3"], "--episodes belongs to a comparison"),
    "two K": (["anil", "--k-shot", "1,2"], "needs one K"),
    "labels": (["anil", "books", "topics"], "must have the labels negative, positive, but not so topics"),
    "no common labels": (["anil"], "must share two labels or more, but share none"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes(mistake: str, wish: Wish, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    collect(tmp_path / "mine", wish.workspace, "topics", labels=("sport", "trade"))
    arguments, message = MISTAKES[mistake]
    code, out, err = call(capsys, "meta-train", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert not list(wish.workspace.rglob("v1.*"))


def test_continue_and_workspace_are_for_meta_train(wish: Wish, capsys: pytest.CaptureFixture[str]) -> None:
    for option in (["--continue"], ["--workspace", "x"]):
        code, _, err = call(capsys, "movie-sentiment", *option)
        assert code == 2
        assert f"{option[0]} belongs to 'icl compare meta-train'" in err


def test_an_empty_workspace_says_what_to_do(wish: Wish, tmp_path: Path) -> None:
    with pytest.raises(IclError, match="has no tasks; add some with 'icl tasks add CARD'"):
        meta_train(replace(wish, workspace=tmp_path / "nothing"), go_on=False)
