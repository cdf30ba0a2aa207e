"""`icl compare` end to end on a tiny random model: files, repetition, JSON, mistakes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from arena import review_task

import compare.prepare
from compare import ComparisonRun, ComparisonSpec, search
from compare.run import compare as run_comparison
from icl.cli.main import main
from tasks import IclError
from tasks.errors import unknown_name
from tasks.types import Task

NAMES = ("in-context", "linear-probe", "protonet", "maml")
"""Learners that are quick; those that train the language model have a test of their own."""

REPOSITORY = Path(__file__).resolve().parents[2]


def known_tasks(directory: Path) -> dict[str, Task]:
    """A task with a related one, and one that stands alone."""
    return {
        "films": review_task(directory, "films", related=["books"]),
        "books": review_task(directory, "books", labels=("negative", "neutral", "positive"), rows=240),
        "alone": review_task(directory, "alone"),
    }


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Task]:
    tasks = known_tasks(tmp_path)

    def load(name: str, data_dir: Path | None = None) -> Task:
        if name not in tasks:
            raise unknown_name("task", name, tasks)
        return tasks[name]

    monkeypatch.setattr(compare.prepare, "load_task", load)
    return tasks


@pytest.fixture
def spec(library: dict[str, Task], tiny_model_dir: Path) -> ComparisonSpec:
    return ComparisonSpec(
        "films", NAMES, k_shot=(3, 1), episodes=4, queries=12, model=str(tiny_model_dir), dtype="float32", device="cpu", meta_steps=4
    )


def table(run: ComparisonRun) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(run.dir / "predictions.parquet").to_pylist()
    return rows


def test_a_run_has_its_files_and_the_json_of_the_issue(spec: ComparisonSpec, tmp_path: Path) -> None:
    run = run_comparison(spec, out=tmp_path / "runs")
    names = {
        "spec.json",
        "environment.json",
        "episodes.jsonl",
        "predictions.parquet",
        "summary.json",
        "cost.json",
        "traces.json",
        "report.html",
        "report.md",
    }
    assert {path.name for path in run.dir.iterdir()} == names
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [run.name]
    printed = run.to_json()
    assert set(printed) == {"run", "dir", "episodes_sha256", "n_episodes", "rows"}
    assert [(row["learner"], row["k_shot"]) for row in printed["rows"]] == [(name, k) for k in (1, 3) for name in NAMES]
    for row in printed["rows"]:
        assert set(row) == {
            "learner", "task", "k_shot", "episodes", "accuracy", "difference_to_in_context", "seconds", "flops", "trainable_parameters",
            "bytes_per_task", "transductive", "failed_episodes",
        }  # fmt: skip
        assert set(row["seconds"]) == set(row["flops"]) == {"meta_train", "adapt", "per_query"}
        assert (row["difference_to_in_context"] is None) == (row["learner"] == "in-context")
        assert row["flops"]["per_query"] > 0
        assert row["failed_episodes"] == 0
    prompt = printed["rows"][0]
    assert (prompt["flops"]["adapt"], prompt["flops"]["meta_train"], prompt["trainable_parameters"]) == (0, 0, 0)
    json.dumps(printed, allow_nan=False)


def test_a_budget_buys_the_first_episodes_and_contrasts_are_on_those_that_both_played(spec: ComparisonSpec, tmp_path: Path) -> None:
    whole = run_comparison(replace(spec, episodes=4), out=tmp_path / "whole")
    rows = {(row["learner"], row["k_shot"]): row for row in whole.read("cost")["rows"]}
    queries = len(whole_queries(whole))
    dear = rows["in-context", 3]["flops"]["adapt"] + queries * rows["in-context", 3]["flops"]["per_query"]
    cut = run_comparison(replace(spec, episodes=4, budget=2.5 * dear / 1e12), out=tmp_path / "cut")
    found = {(row["learner"], row["k_shot"]): row for row in cut.read("summary")["rows"]}
    expected = {(row["learner"], row["k_shot"]): row for row in whole.read("summary")["rows"]}
    assert found["in-context", 3]["episodes"] == 3, "what is left pays for a part of the third"
    for cell, row in found.items():
        n = row["episodes"]
        assert 2 <= n <= 4
        assert row["accuracy"]["per_episode"] == expected[cell]["accuracy"]["per_episode"][:n]
        if row["difference_to_in_context"]:
            both = min(n, found["in-context", cell[1]]["episodes"])
            ours, prompt = (found[name, cell[1]]["accuracy"]["per_episode"][:both] for name in (cell[0], "in-context"))
            assert row["difference_to_in_context"]["per_episode"] == pytest.approx([a - b for a, b in zip(ours, prompt, strict=True)])
    page = (cut.dir / "report.html").read_text(encoding="utf-8")
    assert "3 of 4 episodes" in page
    assert "The budget paid for fewer than all 4 episodes" in page
    assert "--budget" in (cut.dir / "report.md").read_text(encoding="utf-8")


def whole_queries(run: ComparisonRun) -> list[str]:
    """Ids of the queries of an episode."""
    table = pq.read_table(run.dir / "predictions.parquet").to_pylist()
    return list(dict.fromkeys(row["query"] for row in table if row["episode"] == table[0]["episode"]))


def test_results_can_be_made_again_from_the_predictions(spec: ComparisonSpec, tmp_path: Path) -> None:
    run = run_comparison(spec, out=tmp_path)
    rows = table(run)
    assert len(rows) == len(NAMES) * 2 * 4 * 12 * 2
    for row in run.read("summary")["rows"]:
        mine = [r for r in rows if (r["learner"], r["k"]) == (row["learner"], row["k_shot"]) and r["candidate"] == "negative"]
        episodes = dict.fromkeys(r["episode"] for r in mine)
        values = [np.mean([r["predicted"] == r["target"] for r in mine if r["episode"] == episode]) for episode in episodes]
        assert row["accuracy"]["per_episode"] == pytest.approx(values)
    asked: dict[tuple[str, int], set[str]] = {}
    for r in rows:
        if r["episode"] == "e000":
            asked.setdefault((r["learner"], r["k"]), set()).add(r["query"])
    assert len({frozenset(ids) for ids in asked.values()}) == 1, "the same queries for every learner and K"


def test_the_finished_run_is_found_again_and_fresh_makes_the_same_another(spec: ComparisonSpec, tmp_path: Path) -> None:
    first = run_comparison(spec, out=tmp_path)
    written = (first.dir / "summary.json").stat().st_mtime_ns
    again = run_comparison(replace(spec, k_shot=(1, 3)), out=tmp_path)
    assert again == first
    assert (first.dir / "summary.json").stat().st_mtime_ns == written
    fresh = run_comparison(spec, out=tmp_path, fresh=True)
    assert fresh.dir.name == f"{first.name}-2"
    for name in ("summary.json", "spec.json", "episodes.jsonl", "predictions.parquet"):
        assert (fresh.dir / name).read_bytes() == (first.dir / name).read_bytes()
    other = run_comparison(replace(spec, seed=1), out=tmp_path)
    assert other.name != first.name


def test_another_process_makes_the_same_summary(spec: ComparisonSpec, tmp_path: Path) -> None:
    here = run_comparison(spec, out=tmp_path / "here")
    code = f"""
import sys; sys.path[:0] = [{str(Path(__file__).parent)!r}]
from pathlib import Path
import compare.prepare
from test_compare_run import known_tasks
from compare import ComparisonSpec, compare as run
tasks = known_tasks(Path({str(tmp_path)!r}))
compare.prepare.load_task = lambda name, data_dir=None: tasks[name]
run(ComparisonSpec("films", {NAMES!r}, k_shot=(1, 3), episodes=4, queries=12, model={spec.model!r}, dtype="float32", device="cpu", meta_steps=4),
    out={str(tmp_path / "there")!r})
"""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, cwd=tmp_path)
    there = tmp_path / "there" / here.name
    assert (there / "summary.json").read_bytes() == (here.dir / "summary.json").read_bytes()


def test_the_summary_holds_nothing_timed_and_states_the_budget(spec: ComparisonSpec, tmp_path: Path) -> None:
    summary = run_comparison(spec, out=tmp_path).read("summary")
    assert "seconds" not in json.dumps(summary)
    assert summary["budget"]["related_tasks"] == ["books"]
    assert summary["budget"]["configurations"] == {"in-context": 1, "linear-probe": 4, "protonet": 4, "maml": 4}
    assert {row["learner"]: len(row["searched"]) for row in summary["rows"]}["maml"] == 4
    assert {row["search_episodes"] for row in summary["rows"] if row["learner"] != "in-context"} == {20}


def test_a_smaller_k_has_a_part_of_the_support_of_a_larger(spec: ComparisonSpec) -> None:
    prepared = compare.prepare.prepare(spec, None)
    for small, large in zip(prepared.learning_episodes(1), prepared.learning_episodes(3), strict=True):
        assert {e.id for e in small.support.examples} < {e.id for e in large.support.examples}
        assert [e.target for e in small.support.examples].count("positive") == 1
        assert small.queries == large.queries


def test_a_learner_without_the_reference_has_no_difference(spec: ComparisonSpec, tmp_path: Path) -> None:
    run = run_comparison(replace(spec, learners=("protonet",), k_shot=(1,)), out=tmp_path)
    assert [row["difference_to_in_context"] for row in run.to_json()["rows"]] == [None]
    assert "no paired contrast" in (run.dir / "report.html").read_text(encoding="utf-8")


def test_a_task_without_related_ones_is_compared_without_a_search(spec: ComparisonSpec, tmp_path: Path) -> None:
    run = run_comparison(replace(spec, task="alone", learners=("in-context", "linear-probe", "protonet")), out=tmp_path)
    assert all(row["searched"] == [] for row in run.read("summary")["rows"])
    assert all(row["flops"]["meta_train"] == 0 for row in run.to_json()["rows"])


def test_a_failed_episode_counts_as_chance_and_is_shown(spec: ComparisonSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from compare.learners.metric import MetricPredictor

    def broken(self: Any, queries: Any) -> Any:
        if self.learner.name == "protonet" and self.support.episode == "e002":
            raise IclError("it broke </script><script>alert(1)</script>")
        return predict(self, queries)

    predict = MetricPredictor.predict
    monkeypatch.setattr(MetricPredictor, "predict", broken)
    run = run_comparison(replace(spec, k_shot=(1,)), out=tmp_path)
    row = next(row for row in run.read("summary")["rows"] if row["learner"] == "protonet")
    assert row["failed_episodes"] == 1
    assert row["accuracy"]["per_episode"][2] == 0.5
    assert row["failures"][0]["episode"] == "e002"
    missing = [r for r in table(run) if r["learner"] == "protonet" and r["episode"] == "e002"]
    assert len(missing) == 24
    assert all(r["score"] is None and r["predicted"] is None for r in missing)
    page = (run.dir / "report.html").read_text(encoding="utf-8")
    assert "it broke &lt;/script&gt;" in page
    assert "<script>alert(1)" not in page


def test_learners_that_train_the_language_model_beside_those_that_prompt(
    spec: ComparisonSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "BUDGET", 1)
    names = ("zero-shot", "in-context", "lora", "ia3")
    run = run_comparison(replace(spec, learners=names, k_shot=(2,), episodes=2, queries=6), out=tmp_path)
    assert run.read("summary")["budget"]["search_flops"] == 1
    rows = {row["learner"]: row for row in run.to_json()["rows"]}
    searched = {row["learner"]: (len(row["searched"]), row["search_episodes"]) for row in run.read("summary")["rows"]}
    assert searched == {"zero-shot": (0, 0), "in-context": (0, 0), "lora": (2, 1), "ia3": (4, 1)}
    assert rows["lora"]["flops"]["adapt"] > rows["lora"]["flops"]["per_query"] > rows["zero-shot"]["flops"]["per_query"]
    assert rows["in-context"]["flops"]["per_query"] > rows["zero-shot"]["flops"]["per_query"]
    assert rows["zero-shot"]["bytes_per_task"] == rows["zero-shot"]["flops"]["adapt"] == 0
    assert rows["lora"]["trainable_parameters"] > rows["ia3"]["trainable_parameters"] > 0
    assert {row["failed_episodes"] for row in rows.values()} == {0}


def test_a_model_without_what_a_learner_adapts_is_refused_before_anything_is_computed(
    spec: ComparisonSpec, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = call(
        capsys, "films", "--learners", "in-context,bitfit", "--queries", "5", "--model", spec.model, "--out", str(tmp_path / "runs")
    )
    assert code == 2
    assert "bitfit adapts parameters named 'bias', but LlamaForCausalLM has none" in err
    assert not any((tmp_path / "runs").glob("*"))


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["compare", *arguments])
    out = capsys.readouterr()
    return code, out.out, out.err


def test_the_command_prints_one_json_value_or_a_table(spec: ComparisonSpec, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "films",
        "--learners",
        "in-context,protonet",
        "--k-shot",
        "1,3",
        "--episodes",
        "3",
        "--queries",
        "6",
        "--model",
        spec.model,
    ]
    arguments += ["--dtype", "float32", "--device", "cpu", "--out", str(tmp_path / "runs")]
    code, out, err = call(capsys, *arguments, "--json")
    assert code == 0, err
    printed = json.loads(out)
    assert len(printed["rows"]) == 4
    code, out, _ = call(capsys, *arguments)
    assert code == 0
    assert "protonet" in out
    assert printed["run"] in out.replace("\n", "")


MISTAKES = {
    "unknown task": (["filns"], "did you mean films"),
    "unknown learner": (["films", "--learners", "in-context,protonets"], "did you mean protonet"),
    "unknown calibration": (["films", "--calibration", "batsch"], "did you mean batch"),
    "twice": (["films", "--learners", "maml,maml"], "must name each value once"),
    "no related": (["alone", "--learners", "maml"], "add a line 'related: [TASK, …]'"),
    "large K": (["films", "--k-shot", "4,500"], "K = 500 needs 500 rows of every label"),
    "K of zero": (["films", "--k-shot", "0"], "--k-shot must be positive whole numbers"),
    "K in words": (["films", "--k-shot", "one"], "--k-shot must be positive whole numbers"),
    "queries": (["films", "--queries", "100000"], "write --queries"),
    "episodes": (["films", "--episodes", "0"], "--episodes must be 1 or more"),
    "template": (["films", "--template", "sentiment-plian"], "did you mean sentiment-plain"),
    "window": (["films", "--learners", "in-context,protonet", "--k-shot", "25"], "must fit the context window"),
    "rows of others": (["films", "--k-shot", "25"], "the rows suffice for K = 13 at most, not for 25"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_get_one_clear_line_and_write_nothing(
    mistake: str, spec: ComparisonSpec, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, message = MISTAKES[mistake]
    out = tmp_path / "runs"
    code, printed, err = call(
        capsys, *arguments, "--model", spec.model, "--dtype", "float32", "--device", "cpu", "--out", str(out),
        *([] if "--queries" in arguments else ["--queries", "5"]),
    )  # fmt: skip
    assert code == 2
    assert printed == ""
    lines = [line for line in err.splitlines() if line.startswith("icl: ")]
    assert len(lines) == 1
    assert message in lines[0]
    assert "Traceback" not in err
    assert not out.exists() or not any(out.iterdir())


def test_a_task_without_labels_is_refused(library: dict[str, Task]) -> None:
    task = replace(library["films"], kind="generation", labels=())
    with pytest.raises(IclError, match="needs a classification task"):
        compare.prepare.check_kind(task)


def many(directory: Path) -> Task:
    labels = [f"c{i}" for i in range(9)]
    classes = {"train": labels[:3], "validation": labels[3:5], "test": labels[5:]}
    return review_task(directory, "many", rows=900, labels=labels, classes=classes)


def test_n_way_episodes_draw_held_out_classes(spec: ComparisonSpec, library: dict[str, Task], tmp_path: Path) -> None:
    library["many"] = many(tmp_path)
    run_spec = replace(spec, task="many", n_way=2, k_shot=(1, 2), learners=("in-context", "protonet", "anil"))
    run = run_comparison(run_spec, out=tmp_path / "runs")
    episodes = [json.loads(line) for line in (run.dir / "episodes.jsonl").read_text(encoding="utf-8").splitlines()]
    assert all(set(episode["labels"]) <= {"c5", "c6", "c7", "c8"} and len(episode["labels"]) == 2 for episode in episodes)
    assert len({tuple(episode["labels"]) for episode in episodes}) > 1
    assert {row["candidate"] for row in table(run) if row["episode"] == "e000"} == set(episodes[0]["labels"])
    summary = run.read("summary")
    assert summary["budget"]["classes"] == {"train": ["c0", "c1", "c2"], "validation": ["c3", "c4"]}
    assert {len(row["searched"]) for row in summary["rows"] if row["learner"] != "in-context"} == {4}
    assert [row["failed_episodes"] for row in run.to_json()["rows"]] == [0] * 6
    page = (run.dir / "report.html").read_text(encoding="utf-8")
    assert "--n-way 2" in page
    assert "5 other classes" in page
    assert "Guessing gets 50.0 %" in page
    prepared = compare.prepare.prepare(run_spec, None)
    library["many"] = replace(library["many"], classes={**library["many"].classes, "train": ("c0", "c1")})
    assert compare.prepare.prepare(run_spec, None).resolved.hash() != prepared.resolved.hash(), "what it learns from names the run, too"


N_WAY_MISTAKES = {
    "no classes": ("films", 2, "add 'classes: {train: [LABEL, …]"),
    "too many ways": ("many", 4, "needs 4 classes for meta-train, but the card of 'many' has 3"),
}


@pytest.mark.parametrize("mistake", N_WAY_MISTAKES)
def test_n_way_mistakes(mistake: str, spec: ComparisonSpec, library: dict[str, Task], tmp_path: Path) -> None:
    library["many"] = many(tmp_path)
    task, ways, message = N_WAY_MISTAKES[mistake]
    with pytest.raises(IclError, match=re.escape(message)):
        run_comparison(replace(spec, task=task, n_way=ways, k_shot=(1,), learners=("maml",)), out=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
