"""The studies that compare learners: groups of different sizes are paired on what they share; word relations agree with `icl evaluate`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks import IclError
from tasks.errors import unknown_name
from tasks.types import Task

STUDIES = Path(__file__).resolve().parents[2] / "studies"
NOTHING = {"meta_train": 0.0, "adapt": 0.0, "per_query": 0.001}


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Imports a module of `studies/`."""
    import importlib

    monkeypatch.syspath_prepend(str(STUDIES))
    return importlib.import_module


@pytest.mark.parametrize("text", ["features", "features=1", "lora=x", "lora=4,lora=5", "lore=4", "lora=4@", "lora=4@x"])
def test_a_plan_names_groups_and_episodes(study: Callable[[str], Any], text: str) -> None:
    comparisons = study("comparisons")
    plan, share = comparisons.plan, comparisons.Share
    assert plan("features=200, lora=5@1+4") == {"features": share(200), "lora": share(5, (1, 4))}
    with pytest.raises(IclError):
        plan(text)


def test_learners_are_paired_on_the_first_episodes_that_both_have(study: Callable[[str], Any]) -> None:
    comparisons, report = study("comparisons"), study("comparison_report")
    lines = [
        comparisons.Line("toy", "in-context", 1, (0.5, 0.6, 0.4, 1.0, 1.0), NOTHING, NOTHING),
        comparisons.Line("toy", "lora", 1, (0.9, 0.9, 0.9), NOTHING, NOTHING, failed=1),
        comparisons.Line("toy", "protonet", 1, (0.5, 0.7, 0.4, 1.0, 1.0, 0.0), NOTHING, NOTHING),
        comparisons.Line("toy", "protonet", 5, (0.5, 0.7), NOTHING, NOTHING),
    ]
    pairs = comparisons.against_in_context(lines)
    assert set(pairs) == {("toy", 1, "lora"), ("toy", 1, "protonet")}
    lora = pairs["toy", 1, "lora"]
    assert lora.episodes == 3
    assert lora.contrast.difference.mean == pytest.approx(0.4)
    assert pairs["toy", 1, "protonet"].episodes == 5
    assert pairs["toy", 1, "protonet"].contrast.difference.mean == pytest.approx(0.02)
    text = report.table("toy", lines, pairs)
    assert "| 1 | lora | 3 (1 failed) | 0.900 ± 0.000 | **+0.400 ± 0.248** (3) |" in text
    assert "| 1 | in-context | 5 | 0.700 ± 0.351 |  |" in text
    assert text.index("| 1 | lora") < text.index("| 1 | protonet") < text.index("| 5 | protonet")


def test_other_episodes_are_not_paired(study: Callable[[str], Any], tmp_path: Path) -> None:
    check = study("comparisons").check_same_beginnings
    for name, ids in {"long": "abc", "short": "ab", "other": "ax"}.items():
        (tmp_path / name).write_text(
            "".join(json.dumps({"id": id, "query": [id], "support": [1, 2] if name == "short" else [1, 2, 3]}) + "\n" for id in ids),
            encoding="utf-8",
        )
    check([tmp_path / "long", tmp_path / "short"])
    with pytest.raises(IclError, match="other: episode x is not that of the longest file"):
        check([tmp_path / "long", tmp_path / "other"])


def test_groups_of_a_study_share_their_first_episodes(
    study: Callable[[str], Any], tmp_path: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch, review: Task
) -> None:
    import compare.prepare

    def load(name: str, data_dir: Path | None = None) -> Task:
        if name != "films":
            raise unknown_name("task", name, ["films"])
        return review

    monkeypatch.setattr(compare.prepare, "load_task", load)
    docs = tmp_path / "docs"
    docs.mkdir()
    page = docs / "sentiment-domains.md"
    page.write_text("before\n<!-- tables -->\nold\n<!-- end of tables -->\nafter\n", encoding="utf-8")
    arguments = [
        "--tasks",
        "films",
        "--episodes",
        "prompts=4,lora=2@1",
        "--queries",
        "8",
        "--k-shot",
        "1,2",
        "--model",
        str(tiny_model_dir),
    ]
    study("sentiment_domains").main([*arguments, "--out", str(tmp_path / "runs"), "--docs", str(docs)])
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- tables -->\n### films\n")
    assert text.endswith("<!-- end of tables -->\nafter\n")
    every = json.loads((docs / "sentiment-domains.json").read_text(encoding="utf-8"))["lines"]
    assert [(line["learner"], line["k_shot"]) for line in every if line["learner"] != "zero-shot"] == [
        ("in-context", 1), ("in-context", 2), ("lora", 1)
    ]  # fmt: skip
    lines = {line["learner"]: line for line in every}
    assert [len(lines[name]["accuracies"]) for name in ("zero-shot", "in-context", "lora")] == [4, 4, 2]
    assert lines["lora"]["minus_in_context"]["episodes"] == 2
    assert lines["lora"]["flops"]["adapt"] > 0
    assert (docs / "sentiment-domains.svg").read_text(encoding="utf-8").startswith("<svg")
    with pytest.raises(SystemExit, match="unknown task"):
        study("sentiment_domains").main(["--tasks", "filmz", "--out", str(tmp_path)])


@pytest.fixture
def review(tmp_path: Path) -> Task:
    """Made-up reviews; without related tasks nothing is searched."""
    from tasks.load import load_task

    rows = [f"{'good' if i % 2 else 'bad'} film number {i * 7919},{'positive' if i % 2 else 'negative'}" for i in range(120)]
    (tmp_path / "films.csv").write_text("text,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    card = {
        "name": "films", "kind": "classification", "description": "Made up.", "source": {"type": "files", "path": "films.csv"},
        "splits": {"demonstration": {"from": "all", "part": "0-50"}, "test": {"from": "all", "part": "50-100"}},
        "inputs": {"text": "text"}, "target": "label", "labels": ["negative", "positive"], "template": "sentiment-plain",
        "licence": "CC0-1.0", "citation": "made up for a test",
    }  # fmt: skip
    (tmp_path / "films.yaml").write_text(json.dumps(card), encoding="utf-8")
    return load_task(tmp_path / "films.yaml")


@pytest.fixture
def relations(tmp_path: Path) -> Path:
    """A mirror with two made-up relations."""
    for name in ("double", "shout"):
        directory = tmp_path / "mirror" / "function_vectors" / name
        directory.mkdir(parents=True)
        (directory / "dataset.json").write_text(json.dumps({"licence": "CC0-1.0", "citation": "made up"}), encoding="utf-8")
        for split, numbers in {"train": range(40), "validation": range(40, 60), "test": range(60, 90)}.items():
            words = [f"w{n * 37 % 101}x" for n in numbers]
            rows = [{"id": w, "input": w, "output": w + w if name == "double" else w.upper()} for w in words]
            (directory / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return tmp_path / "mirror"


def test_word_relations(
    study: Callable[[str], Any], tmp_path: Path, relations: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the prompt the study's accuracies are those of `icl evaluate`; what was played is found again; a failure counts as a guess."""
    from icl import RunSpec, evaluate
    from tasks import Episode
    from tasks.episodes import sample_kshot, support_at, write_episodes
    from tasks.load import load_task

    module, play = study("word_relations"), study("word_relations_play")
    docs, out = tmp_path / "docs", tmp_path / "runs"
    docs.mkdir()
    (docs / "word-relations.md").write_text("<!-- tables --><!-- end of tables -->", encoding="utf-8")
    sizes = ["--k-shot", "1,2", "--episodes", "3", "--queries", "10", "--search-queries", "6", "--search-k", "2", "--distractors", "4"]
    arguments = ["--relations", "double,shout", *sizes, "--model", str(tiny_model_dir), "--data-dir", str(relations), "--out", str(out)]
    module.main([*arguments, "--docs", str(docs)])
    numbers = json.loads((docs / "word-relations.json").read_text(encoding="utf-8"))
    assert {arm["arm"] for arm in numbers["played"]["shout"]["2"][0]} == set(play.ARMS)
    assert {arm["arm"] for arm in numbers["played"]["shout"]["0"][0]} == set(play.PROMPTS)
    assert [t["episodes"] for t in numbers["facts"]["tried"]] == [2, 2, 2]

    card = out / "word-relations" / "cards" / "shout" / "shout.yaml"
    task = load_task(card)
    drawn = sample_kshot(task, n=3, k_shot=(1, 2), n_query=10, split_query="test", seed=0)
    ones = [
        Episode(e.id, e.task, e.support_split, (support_at(e, task, 1)[0].id,), e.query_split, e.query, e.labels, e.task_fingerprint)
        for e in drawn
    ]
    assert all(e.support is not None and one.support == e.support[:1] for e, one in zip(drawn, ones, strict=True))
    write_episodes(tmp_path / "ones.jsonl", ones)
    spec = RunSpec(str(card), str(tiny_model_dir), shots=1, queries=10, episodes=3, calibration=("none", "pmi"))
    metrics = evaluate(spec, out=tmp_path / "evaluated", episodes=tmp_path / "ones.jsonl").summary["metrics"]
    for arm, calibration in (("in-context", "none"), ("in-context, pmi", "pmi")):
        found = [next(a["accuracy"] for a in arms if a["arm"] == arm) for arms in numbers["played"]["shout"]["1"]]
        assert found == pytest.approx(metrics[calibration]["accuracy"]["per_episode"])

    def diverged(*given: Any) -> int:
        raise IclError("it diverged")

    monkeypatch.setattr(play, "train", diverged)
    module.main([*arguments, "--docs", str(docs)])
    assert json.loads((docs / "word-relations.json").read_text(encoding="utf-8"))["played"] == numbers["played"]
    module.main([*arguments, "--seed", "1", "--docs", str(docs)])
    again = json.loads((docs / "word-relations.json").read_text(encoding="utf-8"))["played"]
    assert {(a["accuracy"], a["failed"]) for a in again["double"]["2"][0] if a["arm"] in play.WEIGHTS} == {(0.2, "it diverged")}
    assert "count as a guess: 12 of 12" in (docs / "word-relations.md").read_text(encoding="utf-8")
    with pytest.raises(SystemExit, match="no relation 'treble' under function_vectors; there are double, shout"):
        module.main(["--relations", "treble", *sizes, "--data-dir", str(relations), "--out", str(out)])


def test_learners_on_sentences_are_lines_of_their_own(
    study: Callable[[str], Any], tmp_path: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch, review: Task, asked: list[str]
) -> None:
    import compare.prepare

    monkeypatch.setattr(compare.prepare, "load_task", lambda name, data_dir=None: review)
    comparisons, report = study("comparisons"), study("comparison_report")
    spec = compare.ComparisonSpec("films", k_shot=(2,), queries=6, model=str(tiny_model_dir), dtype="float32", device="cpu")
    shares = comparisons.plan("features=2,sentences=3")
    with pytest.raises(IclError, match="group sentences needs a sentence model"):
        comparisons.run_plan(spec, shares, tmp_path / "runs", None)
    with pytest.raises(IclError, match="--embedder serves the group 'sentences' alone"):
        comparisons.run_plan(replace(spec, embedder=str(tiny_model_dir)), comparisons.plan("prompts=2"), tmp_path / "runs", None)
    monkeypatch.setitem(comparisons.GROUPS, "features", comparisons.Group(("protonet",)))
    lines = comparisons.run_plan(replace(spec, embedder=str(tiny_model_dir)), shares, tmp_path / "runs", None)
    assert [line.learner for line in report.in_order(lines)] == [
        "linear-probe on sentences", "protonet", "protonet on sentences", "matching-net on sentences"
    ]  # fmt: skip
    assert [len(line.accuracies) for line in report.in_order(lines)] == [3, 2, 3, 3]
    assert {line.embedder for line in lines} == {"", tiny_model_dir.name}
    assert report.kind("protonet on sentences") == report.kind("protonet")
    assert asked
