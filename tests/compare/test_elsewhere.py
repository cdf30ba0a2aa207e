"""`--meta-test`: the learners of one task on the episodes of others, which no meta-training has seen."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from arena import LABELS, review_task
from test_compare_run import call, many

import compare.prepare
from compare import ComparisonSpec
from compare.prepare import prepare
from compare.report.shift import places_table
from compare.run import compare as run_comparison
from tasks import IclError
from tasks.errors import unknown_name
from tasks.normalise import example_key
from tasks.types import Task

NAMES = ("in-context", "protonet", "anil")


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Task]:
    tasks = {
        "films": review_task(tmp_path, "films", related=["books", "songs"], overlaps=["clips"]),
        "books": review_task(tmp_path, "books", shared=40),
        "songs": review_task(tmp_path, "songs", shared=40),
        "games": review_task(tmp_path, "games", labels=("positive", "neutral", "negative"), rows=240),
        "clips": review_task(tmp_path, "clips", overlaps=["films"]),
        "trailers": review_task(tmp_path, "trailers", overlaps=["books"]),
        "topics": review_task(tmp_path, "topics", labels=("sport", "trade")),
    }

    def load(name: str, data_dir: Path | None = None) -> Task:
        if name not in tasks:
            raise unknown_name("task", name, tasks)
        return tasks[name]

    monkeypatch.setattr(compare.prepare, "load_task", load)
    return tasks


@pytest.fixture
def spec(library: dict[str, Task], tiny_model_dir: Path) -> ComparisonSpec:
    return ComparisonSpec(
        "films", NAMES, k_shot=(1, 2), episodes=3, queries=8, model=str(tiny_model_dir), dtype="float32", device="cpu", meta_steps=4
    )


def test_a_task_that_is_played_on_is_not_learnt_from_nor_are_its_texts(spec: ComparisonSpec, library: dict[str, Task]) -> None:
    prepared = prepare(replace(spec, meta_test=("songs",)), None)
    assert [task.name for task in prepared.related.tasks] == ["books"]
    assert any("'songs' is no task to learn from" in note for note in prepared.related.notes)
    played = {example_key(e, "classification") for split in library["songs"].splits.values() for e in split}
    learnt = {example_key(e, "classification") for _, e in prepared.pools().examples()}
    assert not learnt & played
    with_songs = prepare(spec, None)
    assert {example_key(e, "classification") for _, e in with_songs.pools().examples()} & played, "books shares texts with songs"
    assert prepared.resolved.hash() != with_songs.resolved.hash()


def test_labels_stand_in_the_order_of_the_evaluated_task(spec: ComparisonSpec) -> None:
    prepared = prepare(replace(spec, meta_test=("games",)), None)
    (test,) = prepared.elsewhere
    for k in spec.k_shot:
        for episode in test.learning_episodes(k):
            assert episode.support.labels == LABELS
            assert len(episode.support.examples) == 2 * k
            assert {LABELS[int(j)] for j in episode.targets} <= set(LABELS)
    assert len(test.learning_episodes(1)) == spec.episodes


def test_rows_of_other_tasks_name_them_and_change_nothing_of_the_main_ones(spec: ComparisonSpec, tmp_path: Path) -> None:
    alone, both = (run_comparison(replace(spec, meta_test=other), out=tmp_path / "runs") for other in ((), ("games", "clips")))
    mine, wanted = (run.read("summary")["rows"] for run in (both, alone))
    assert [row["accuracy"] for row in mine] == [row["accuracy"] for row in wanted]
    assert [row["searched"] for row in mine] == [row["searched"] for row in wanted]
    assert (both.dir / "predictions.parquet").read_bytes() == (alone.dir / "predictions.parquet").read_bytes()
    rows = both.to_json()["rows"]
    assert [row["task"] for row in rows] == ["films"] * 6 + [task for _ in range(6) for task in ("games", "clips")]
    assert {tuple(row) for row in rows} == {tuple(rows[0])}, "the same keys for all"
    for row in rows:
        assert (row["difference_to_in_context"] is None) == (row["learner"] == "in-context")
        assert row["flops"]["per_query"] > 0
        assert row["failed_episodes"] == 0
    table = pq.read_table(both.dir / "meta-test.parquet").to_pylist()
    assert len(table) == 2 * len(NAMES) * 2 * 3 * 8 * 2
    assert {row["task"] for row in table} == {"games", "clips"}
    drawn = [json.loads(line) for line in (both.dir / "meta-test.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [episode["task"] for episode in drawn] == ["games"] * 3 + ["clips"] * 3
    assert not (alone.dir / "meta-test.parquet").exists()
    page = (both.dir / "report.html").read_text(encoding="utf-8")
    assert "Holm-adjusted over 12 contrasts" in page
    assert "Elsewhere: games" in page
    assert "--meta-test games,clips" in page
    assert "--meta-test" not in json.dumps((alone.dir / "report.md").read_text(encoding="utf-8")).split("Made with")[1]


def test_the_report_sets_places_side_by_side(spec: ComparisonSpec, tmp_path: Path) -> None:
    summary = run_comparison(replace(spec, k_shot=(2,), meta_test=("games",)), out=tmp_path).read("summary")
    table = places_table(summary)
    assert table is not None
    assert table.head == ("Learner", "K", "Seen: meta-train episodes", "Held out: films", "Elsewhere: games", "Elsewhere − held out")
    for line, row, other in zip(table.rows, summary["rows"], summary["meta_test"], strict=True):
        assert line[0] == row["learner"]
        assert line[2].startswith(f"{row['permuted_labels']['train']['plain']['mean']:.3f}")
        assert line[4].startswith(f"{other['accuracy']['mean']:.3f}")
        assert float(line[5].replace("−", "-")) == pytest.approx(other["accuracy"]["mean"] - row["accuracy"]["mean"], abs=1e-3)
    for row in summary["rows"]:
        row["permuted_labels"] = None
    assert places_table({**summary, "meta_test": []}) is None


def test_with_n_way_any_card_with_classes_can_be_played(spec: ComparisonSpec, library: dict[str, Task], tmp_path: Path) -> None:
    library["many"] = many(tmp_path)
    labels = [f"d{i}" for i in range(7)]
    library["more"] = review_task(
        tmp_path, "more", rows=900, labels=labels, classes={"train": labels[:2], "validation": labels[2:4], "test": labels[4:]}
    )
    wanted = replace(spec, task="many", n_way=2, k_shot=(1,), meta_test=("more",))
    run = run_comparison(wanted, out=tmp_path / "runs")
    episodes = [json.loads(line) for line in (run.dir / "meta-test.jsonl").read_text(encoding="utf-8").splitlines()]
    assert all(set(episode["labels"]) <= {"d4", "d5", "d6"} for episode in episodes)
    assert [row["task"] for row in run.to_json()["rows"]] == ["many"] * 3 + ["more"] * 3
    library["more"] = replace(library["more"], overlaps=("many",))
    with pytest.raises(IclError, match="'more' overlaps 'many'"):
        prepare(wanted, None)


MISTAKES = {
    "itself": (("films",), "must name other tasks than 'films'"),
    "unknown": (("gmaes",), "did you mean games"),
    "labels": (("topics",), "'topics' has no label negative, positive"),
    "every related one": (("books", "songs"), "none is left to learn from; leave one out"),
    "overlaps what is learnt from": (("trailers",), "'trailers' overlaps 'books'; leave it out"),
    "twice": (("games", "games"), "--meta-test must name each value once"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes(mistake: str, spec: ComparisonSpec, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    others, message = MISTAKES[mistake]
    arguments = ["--queries", "5", "--learners", ",".join(NAMES), "--model", spec.model, "--out", str(tmp_path / "runs")]
    code, out, err = call(capsys, "films", "--meta-test", ",".join(others), *arguments)
    assert (code, out) == (2, "")
    assert re.search(re.escape(message), err), err
    assert not (tmp_path / "runs").exists()


def test_an_overlap_with_the_evaluated_task_is_said(spec: ComparisonSpec) -> None:
    assert "'clips' overlaps 'films': some of its texts are the same" in prepare(replace(spec, meta_test=("clips",)), None).related.notes


def test_the_terminal_shows_them(spec: ComparisonSpec, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "--queries",
        "6",
        "--episodes",
        "3",
        "--learners",
        "in-context,protonet",
        "--model",
        spec.model,
        "--out",
        str(tmp_path / "runs"),
    ]
    code, out, err = call(capsys, "films", "--meta-test", "games", *arguments)
    assert code == 0, err
    assert len([line for line in out.splitlines() if " games " in line]) == 2
