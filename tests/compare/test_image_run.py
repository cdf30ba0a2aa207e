"""A comparison on images end to end on a toy source: files, resuming after a kill, new domains, bad input, the command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from image_arena import install

from compare.ahead import ahead
from compare.images import training
from compare.images.learners import IMAGE_LEARNERS
from compare.images.run import ImageRun, compare_images, resume
from compare.images.spec import ImageSpec, everyone
from icl.cli.main import main
from tasks import IclError
from tasks.images.sources import load_images
from tasks.images.types import by_class

SPEC = ImageSpec(
    "blobs",
    ("protonet", "maml"),
    n_way=3,
    k_shot=(1,),
    episodes=25,
    queries=4,
    filters=4,
    meta_steps=6,
    meta_batch=2,
    meta_test=("blobs:b",),
)


@pytest.fixture(autouse=True)
def source(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> ImageRun:
    with pytest.MonkeyPatch.context() as patch:
        install(patch)
        return compare_images(SPEC, out=tmp_path_factory.mktemp("runs"))


def test_what_a_run_holds(finished: ImageRun) -> None:
    summary, cost, environment = (finished.read(name) for name in ("summary", "cost", "environment"))
    cells = [(row["learner"], row["source"]) for row in summary["rows"]]
    assert cells == [("protonet", "blobs:a"), ("protonet", "blobs:b"), ("maml", "blobs:a"), ("maml", "blobs:b")]
    first, _, third, _ = summary["rows"]
    assert first["accuracy"]["mean"] > 0.6
    assert len(first["accuracy"]["per_episode"]) == 25
    assert first["difference"] is None, "protonet is the reference"
    expected = np.subtract(third["accuracy"]["per_episode"], first["accuracy"]["per_episode"])
    assert third["difference"]["per_episode"] == pytest.approx(list(expected))
    assert third["difference"]["p_adjusted"] is not None
    assert first["transductive"]
    assert summary["ranks"][0]["average"].keys() == {"protonet", "maml"}
    assert environment["run"]["notes"] == ["blobs:a: blobs are easy", "blobs:b: blobs are easy"]
    assert all(value > 0 for row in cost["rows"] for part in ("seconds", "flops") for value in row[part].values())
    assert not (finished.dir / "partial").exists()


def test_the_curve_has_every_part_the_new_domain_and_the_probe(finished: ImageRun) -> None:
    curve = finished.read("summary")["curves"][0]["points"]
    assert [point["step"] for point in curve] == list(range(7))
    assert set(curve[0]["accuracy"]) == {"train", "validation", "test", "blobs:b", "shifted labels, followed", "shifted labels, ignored"}
    last = curve[-1]["accuracy"]
    assert last["shifted labels, followed"] > 0.6 > last["shifted labels, ignored"]


def test_episodes_and_predictions_are_on_disk(finished: ImageRun) -> None:
    lines = [json.loads(line) for line in (finished.dir / "episodes.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(lines) == 50
    assert lines[0]["source"] == "blobs:a"
    assert lines[0]["classes"][0].startswith("a-test-")
    rows = pq.read_table(finished.dir / "predictions.parquet").to_pylist()
    assert len(rows) == 2 * 2 * 25 * 12
    of = [row for row in rows if (row["learner"], row["source"], row["episode"]) == ("maml", "blobs:a", "e0003")]
    right = np.mean([row["target"] == row["predicted"] for row in of])
    known = next(row for row in finished.read("summary")["rows"] if (row["learner"], row["source"]) == ("maml", "blobs:a"))
    assert known["accuracy"]["per_episode"][3] == pytest.approx(right)
    assert [row["query"] for row in of] == lines[3]["query"]


def test_the_page_tells_it(finished: ImageRun) -> None:
    page = (finished.dir / "report.html").read_text(encoding="utf-8")
    for text in (
        "Meta-learning on images",
        "blobs are easy",
        "batch norm with the statistics",
        "Over meta-training",
        "--meta-test blobs:b",
    ):
        assert text in page
    assert page.count('class="chart"') == 2 + 2


class Killed(BaseException):
    """As kill -9: nothing may catch it."""


@pytest.mark.parametrize("after", [3, 8, 13])
def test_a_run_that_was_killed_goes_on_to_the_same_bytes(
    finished: ImageRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    monkeypatch.setattr(training, "EVERY", 0.0)
    monkeypatch.setattr("compare.journal.EVERY", 0.0)
    left = [after]

    class Watcher:
        def section_done(self) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise Killed

        def phase(self, name: str) -> None: ...
        def note(self, text: str) -> None: ...
        def start(self, sections: int, done: int) -> None: ...
        def tokens(self, computed: int, total: int) -> None: ...

    with pytest.raises(Killed):
        compare_images(SPEC, out=tmp_path, events=Watcher())
    (directory,) = tmp_path.glob("compare-*")
    assert not (directory / "summary.json").exists()
    (directory / "episodes.jsonl").write_text("garbage", encoding="utf-8")
    again = resume(directory)
    for name in ("summary.json", "episodes.jsonl"):
        assert (again.dir / name).read_bytes() == (finished.dir / name).read_bytes(), name
    state = Path("learners") / "maml-1.safetensors"
    assert (again.dir / state).read_bytes() == (finished.dir / state).read_bytes()


def test_a_state_of_another_training_is_refused(tmp_path: Path) -> None:
    done = compare_images(replace(SPEC, learners=("protonet",), meta_test=()), out=tmp_path)
    (done.dir / "summary.json").unlink()
    (done.dir / "partial").mkdir()
    spec = json.loads((done.dir / "spec.json").read_text(encoding="utf-8"))
    (done.dir / "spec.json").write_text(json.dumps({**spec, "sha256": "0" * 64}), encoding="utf-8")
    with pytest.raises(IclError, match=f"begun with spec {'0' * 64}, but the same spec is"):
        resume(done.dir)
    (done.dir / "spec.json").write_text(json.dumps(spec), encoding="utf-8")
    seconds = done.dir / "learners" / "protonet-1.json"
    kept = seconds.read_bytes()
    seconds.write_text('{"seconds": "x"}', encoding="utf-8")
    with pytest.raises(IclError, match=r"protonet-1\.safetensors is damaged: it, or protonet-1\.json beside it, is not what was kept"):
        resume(done.dir)
    seconds.write_bytes(kept)
    other = compare_images(replace(SPEC, learners=("protonet",), meta_test=(), seed=1), out=tmp_path / "other")
    (done.dir / "learners" / "protonet-1.safetensors").write_bytes((other.dir / "learners" / "protonet-1.safetensors").read_bytes())
    with pytest.raises(IclError, match=r"protonet-1\.safetensors is the state of another training \(spec"):
        resume(done.dir)


def test_a_learner_that_diverges_counts_as_chance_and_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from compare.images.learners import gradient

    wild = {**gradient.METHODS, "maml": (gradient.METHODS["maml"][0], *[gradient.Recipe(1e30, 2, 2)] * 2)}
    monkeypatch.setattr(gradient, "METHODS", wild)
    done = compare_images(replace(SPEC, meta_test=(), meta_steps=2), out=tmp_path)
    row = done.read("summary")["rows"][1]
    assert row["failed_episodes"] == 25
    assert row["accuracy"]["mean"] == pytest.approx(1 / 3)
    assert "diverged before step" in row["failures"][0]["reason"]
    assert "maml, K = 1, blobs:a" in (done.dir / "report.html").read_text(encoding="utf-8")


def test_meta_datasets_protocol(tmp_path: Path) -> None:
    spec = replace(SPEC, learners=("maml", "linear-probe"), protocol="meta-dataset", episodes=4, meta_steps=2, meta_test=())
    done = compare_images(spec, out=tmp_path)
    lines = [json.loads(line) for line in (done.dir / "episodes.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {len(line["classes"]) for line in lines} <= {5, 6, 7, 8}
    assert 1 / 8 <= done.read("environment")["run"]["chance"]["blobs:a"] <= 1 / 5
    with pytest.raises(IclError, match="reptile meta-learns a head"):
        compare_images(replace(spec, learners=("reptile",)), out=tmp_path)
    with pytest.raises(IclError, match="--protocol meta-dataset draws the shots itself"):
        replace(spec, k_shot=(1, 2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_way": 9}, "has 8 classes, but 9 ways were asked for; use --n-way 8"),
        ({"queries": 12}, "1 shots and 12 queries per class need 13 images"),
        ({"task": "blobs:untested"}, "blobs:untested has no classes to meta-test on"),
        ({"meta_test": ("digits",)}, r"--meta-test digits:ten has images of 28 × 28 in 1 channel, but blobs:a has 16 × 16"),
        ({"meta_test": ("blobs:a",)}, "blobs:a stands twice; leave one out"),
        ({"k_shot": (8,), "queries": 1}, "8 shots and 5 queries per class need 13 images of every class, but the meta-train part"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(IclError, match=message):
        compare_images(replace(SPEC, **{"meta_test": (), **change}), out=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learners": ("mann2",)}, "unknown learner on images 'mann2'"),
        ({"learners": ()}, "--learners must name each value once, but got none"),
        ({"meta_test": ("blobs",)}, "--meta-test must name each value once, but got blobs,blobs"),
        ({"norm": "group"}, "unknown norm 'group'"),
        ({"meta_steps": 0}, "--meta-steps must be 1 or more, but is 0"),
        ({"protocol": "free"}, "unknown protocol 'free'"),
    ],
)
def test_specs_that_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(IclError, match=message):
        replace(SPEC, **change)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["compare", "blobs", "--n-way", "3", "--k-shot", "1", "--episodes", "6", "--queries", "3", "--meta-steps", "2"]
    words += ["--learners", "protonet", "--norm", "layer", "--out", str(tmp_path)]
    assert main([*words, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["norm"], shown["n_queries"], shown["rows"][0]["transductive"]) == ("layer", 9, False)
    assert main(words) == 0
    assert "image by image" in " ".join(capsys.readouterr().out.split())
    assert main([*words[:-4], "--learners", "all", "--protocol", "meta-dataset", "--out", str(tmp_path)]) == 2
    assert "--queries is drawn by --protocol meta-dataset itself; leave it out" in capsys.readouterr().err
    assert main([*words, "--template", "x"]) == 2
    assert "--template belongs to comparisons on text, but 'blobs' is a task of images" in capsys.readouterr().err
    assert main(["compare", "movie-sentiment", "--norm", "layer"]) == 2
    assert "--norm belongs to a task of images, but 'movie-sentiment' is none" in capsys.readouterr().err
    assert main(["runs", "show", shown["run"], "--out", str(tmp_path)]) == 2
    assert "is a comparison on images" in capsys.readouterr().err


def test_everyone_is_whoever_can_play_by_the_protocol() -> None:
    assert everyone("fixed") == (tuple(IMAGE_LEARNERS), [])
    found, left_out = everyone("meta-dataset")
    assert set(IMAGE_LEARNERS) - set(found) == {"reptile", "snail", "mann", "in-context-transformer"}
    assert len(left_out) == 4
    assert left_out[0].startswith("reptile meta-learns a head")


def test_what_was_meta_trained_on_is_no_other_source(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    task = load_images("blobs:a")
    leaking = replace(task, split="leaking", parts={**task.parts, "test": task.parts["train"], "train": task.parts["test"]})
    monkeypatch.setattr("compare.images.prepare.load_images", lambda name, _: leaking if name == "blobs:leaking" else task)
    with pytest.raises(IclError, match=r"blobs:leaking must not be tested on what is meta-trained on, but (\d+) of its \1 classes are"):
        compare_images(replace(SPEC, meta_test=("blobs:leaking",)), out=tmp_path)


def test_a_part_that_is_too_small_to_be_looked_at_is_said_before_anything_is_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    task = load_images("blobs:a")
    few = by_class(task.parts["test"].images[:9], np.repeat([0, 1, 2], 3), ["x", "y", "z"])  # enough for one shot and one query
    monkeypatch.setattr("compare.images.prepare.load_images", lambda name, _: replace(task, parts={**task.parts, "test": few}))
    with pytest.raises(IclError, match="for its curve"):
        compare_images(replace(SPEC, meta_test=(), queries=1), out=tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_what_is_made_ahead_comes_in_order() -> None:
    assert list(ahead(lambda n: n * n, [1, 2, 3])) == [1, 4, 9]
    assert list(ahead(lambda n: n, [])) == []


def test_the_state_of_a_training_is_that_of_its_step(finished: ImageRun) -> None:
    from compare.checkpoint import load_state

    state, facts = load_state(finished.dir / "learners" / "protonet-1.safetensors")
    assert int(state.step) == 6
    assert facts["learner"] == "protonet"
    assert all(torch.isfinite(value).all() for value in state.params.values())
