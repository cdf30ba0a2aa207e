"""A tuning end to end on a tiny random model: files, repetition, the sealed test split, the files that other commands take."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from arena import review_task

import compare.prepare
import compare.tune.judge
import compare.tune.prepare
from compare import ComparisonSpec
from compare.run import compare as run_comparison
from compare.settingsfile import read_settings
from compare.tune.counting import CountingEngine, mark
from compare.tune.guard import Sealed, TestRowRead, sealed
from compare.tune.players import Players
from compare.tune.prepare import prepare
from compare.tune.run import Tuning, tune
from compare.tune.types import Budget, TuneSpec
from icl.cli.main import main
from icl.engine.types import ScoreRequest, Work
from icl.events import Quiet
from tasks import IclError
from tasks.episodefile import read_episodes, write_episodes
from tasks.types import Task

SPACES: dict[str, Any] = {
    "in-context": {"shots": [0, 2, 4], "calibration": ["none", "contextual", "batch"], "selector": ["random", "knn"]},
    "lora": {"rank": [2, 4], "lr": {"from": 1e-3, "to": 1e-1, "log": True}, "steps": [1, 2], "modules": ["query-value", "all-linear"]},
    "protonet": {"scale": [1.0, 8.0], "trained": False},
    "maml": {"inner_steps": [1, 2], "backbone": ["linear"], "inner_lr": [0.5]},
}


@pytest.fixture
def films(tmp_path: Path) -> str:
    review_task(tmp_path, "films")
    return str(tmp_path / "films.yaml")


@pytest.fixture
def spec(films: str, tiny_model_dir: Path) -> TuneSpec:
    methods = ("in-context", "lora")
    return TuneSpec(
        films, methods, str(tiny_model_dir), k_shot=2, trials=3, episodes=2, queries=6, test_episodes=2, test_queries=8, dtype="float32",
        device="cpu", meta_steps=2, spaces={method: SPACES[method] for method in methods},
    )  # fmt: skip


def method(result: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = (of for of in result["methods"] if of["method"] == name)
    return dict(found)


def test_a_tuning_has_its_files_and_its_commands_give_its_test_again(spec: TuneSpec, films: str, tmp_path: Path) -> None:
    out = tmp_path / "runs"
    tuning = tune(spec, out=out)
    assert {path.name for path in tuning.dir.iterdir()} == {
        "spec.json", "space.yaml", "episodes.jsonl", "test-episodes.jsonl", "study.sqlite", "tuned-prompt.yaml", "tuned-learners.yaml",
        "tune.json", "report.html", "report.md",
    }  # fmt: skip
    result = tuning.to_json()
    assert [of["method"] for of in result["methods"]] == ["in-context", "lora"]
    for of in result["methods"]:
        assert of["counts"]["trials"] == 3
        assert len(of["test"]["per_episode"]) == 2
        assert of["spent"]["flops"] > 0
        assert of["ended_by"] == "trials"
    assert {e.query_split for e in read_episodes(tuning.dir / "episodes.jsonl")} == {"validation"}
    assert {e.query_split for e in read_episodes(tuning.dir / "test-episodes.jsonl")} == {"test"}
    page = (tuning.dir / "report.html").read_text(encoding="utf-8")
    assert "<h2>in-context</h2>" in page
    assert "read once, after all searches had ended" in page

    prompt, learners = tuning.dir / "tuned-prompt.yaml", tuning.dir / "tuned-learners.yaml"
    assert main(["evaluate", "--spec", str(prompt), "--episodes-file", str(tuning.dir / "test-episodes.jsonl"), "--out", str(out)]) == 0
    compared = run_comparison(
        ComparisonSpec(
            films, ("lora",), k_shot=(2,), episodes=2, queries=8, model=spec.model, dtype="float32", device="cpu", meta_steps=2,
            settings=read_settings(learners),
        ),
        out=out,
    )  # fmt: skip
    tested = {of["test"]["run"] for of in result["methods"]}
    assert {path.name for path in out.iterdir()} == {tuning.dir.name, *tested}, "the commands find the runs of the test"
    assert compared.name == method(result, "lora")["test"]["run"]
    (row,) = compared.read("summary")["rows"]
    assert row["settings"] == method(result, "lora")["settings"]
    report = (compared.dir / "report.md").read_text(encoding="utf-8")
    assert "| given |" in report, "the search table says that nothing was searched"
    assert "--settings settings.yaml" in report or "--settings settings.yaml" in (compared.dir / "report.html").read_text(encoding="utf-8")
    assert read_settings(compared.dir / "settings.yaml") == {"lora": row["settings"]}


def test_the_test_split_is_touched_once_and_a_finished_tuning_computes_nothing(
    spec: TuneSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated: list[str] = []
    evaluate = compare.tune.judge.evaluate
    monkeypatch.setattr(compare.tune.judge, "evaluate", lambda run, **more: evaluated.append(run.split) or evaluate(run, **more))
    spec = replace(spec, methods=("in-context",), spaces={"in-context": SPACES["in-context"]})
    first = tune(spec, out=tmp_path / "runs")
    assert evaluated == ["test"]

    def refuse(*_: Any) -> None:
        raise AssertionError("a model is loaded again")

    monkeypatch.setattr("compare.tune.players.load_model", refuse)
    again = tune(spec, out=tmp_path / "runs")
    assert evaluated == ["test"]
    assert again.dir == first.dir
    with sqlite3.connect(first.dir / "study.sqlite") as file:
        assert {name for (name,) in file.execute("select key from study_user_attributes")} == {"test begun", "test"}


def test_killed_it_goes_on_to_the_same_result(spec: TuneSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    whole = tune(spec, out=tmp_path / "whole").to_json()
    monkeypatch.setenv("ICL_SCORE_STORE", str(tmp_path / "other.sqlite"))
    real, left = Players.begin, [0]

    def begin(self: Players, name: str) -> Any:
        inner = real(self, name)

        def counted(settings: Any, paid: set[str]) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return inner(settings, paid)

        return counted

    monkeypatch.setattr(Players, "begin", begin)
    kills = 0
    while True:
        left[0] = 2
        try:
            tuning = tune(spec, out=tmp_path / "runs")
            break
        except Killed:
            kills += 1
    assert kills == 2
    assert tuning.to_json() == whole, "charges do not depend on what the score store holds"


def test_a_sealed_task_has_no_test_rows(films: str) -> None:
    from tasks.load import load_task

    task = load_task(films)
    closed = sealed(task)
    rows = closed.splits["test"]
    assert isinstance(rows, Sealed)
    assert len(rows) == len(task.splits["test"])
    for look in (
        lambda: rows[0], lambda: rows[:2], lambda: list(rows), lambda: rows.ids, lambda: rows.targets, lambda: rows.by_id("x"),
        lambda: rows.table, lambda: "x" in rows,
    ):  # fmt: skip
        with pytest.raises(TestRowRead, match="a search must not read the test split of task 'films'"):
            look()
    assert closed.splits["validation"] is task.splits["validation"]
    with pytest.raises(IclError, match="has no validation and no test split"):
        sealed(replace(task, splits={"demonstration": task.splits["demonstration"]}))


@pytest.mark.parametrize("name", ["in-context", "lora"])
def test_a_search_that_looks_at_a_test_row_dies(spec: TuneSpec, tmp_path: Path, name: str) -> None:
    prepared = prepare(spec, None)
    cheating = replace(prepared, episodes=prepared.test_episodes)
    write_episodes(tmp_path / "e.jsonl", prepared.test_episodes)
    begin = Players(cheating, tmp_path / "e.jsonl", Quiet()).begin(name)
    with pytest.raises(TestRowRead):
        begin(prepared.first(name), set()).play(0)


def test_settings_that_differ_in_their_calibration_alone_are_charged_once(spec: TuneSpec, tmp_path: Path) -> None:
    prepared = prepare(spec, None)
    write_episodes(tmp_path / "e.jsonl", prepared.episodes)
    begin, paid = Players(prepared, tmp_path / "e.jsonl", Quiet()).begin("in-context"), set[str]()
    plain, batch, contextual = (begin({"shots": 2, "calibration": name}, paid).play(1) for name in ("none", "batch", "contextual"))
    assert plain.charged == plain.flops > 0
    assert batch.charged == 0, "the same prompts"
    assert batch.flops == plain.flops
    assert 0 < contextual.charged < contextual.flops, "content-free inputs come on top"
    other = begin({"shots": 2, "calibration": "none"}, set()).play(1)
    assert other.charged == plain.charged, "what the score store holds does not count"
    none = begin({"shots": 0, "calibration": "none", "selector": "knn"}, paid).play(1)
    assert none.accuracy == begin({"shots": 0, "calibration": "none", "selector": "random"}, paid).play(1).accuracy


def test_methods_on_features_and_meta_learners_with_equal_budgets(spec: TuneSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks: dict[str, Task] = {"films": review_task(tmp_path, "films", related=["books"]), "books": review_task(tmp_path, "books", rows=300)}
    for module in ("compare.tune.prepare", "compare.prepare", "icl.prepare"):
        monkeypatch.setattr(f"{module}.load_task", lambda name, data_dir=None: tasks[name])
    methods = ("in-context", "protonet", "maml")
    budget = Budget(400e6, "FLOP")
    spec = replace(spec, task="films", methods=methods, spaces={name: SPACES[name] for name in methods}, budget=budget, trials=6)
    result = tune(spec, out=tmp_path / "runs").to_json()
    for of in result["methods"]:
        spent, dearest = of["spent"]["flops"], max(trial["charged_flops"] for trial in of["trials"])
        assert of["counts"]["trials"] >= 1
        assert spent <= max(budget.amount, of["trials"][0]["charged_flops"]) + dearest
    protonet = method(result, "protonet")
    first, later = protonet["trials"][0]["charged_flops"], [trial["charged_flops"] for trial in protonet["trials"][1:]]
    assert later, "it is cheap: other settings fit into the budget"
    assert max(later) < first / 20, "features are charged once"
    assert [d["reference"] for d in result["differences"]] == ["in-context", "in-context"]


def test_nsga2_weighs_accuracy_against_cost(spec: TuneSpec, tmp_path: Path) -> None:
    spec = replace(spec, methods=("in-context",), spaces={"in-context": {"shots": [0, 2, 4]}}, sampler="nsga2", trials=6, k_shot=None)
    result = tune(spec, out=tmp_path / "runs").to_json()
    of = method(result, "in-context")
    assert of["counts"]["all episodes"] == 6
    cost = {trial["settings"]["shots"]: trial["flops_per_query"] for trial in of["trials"]}
    assert list(dict(sorted(cost.items())).values()) == sorted(cost.values())
    assert "pareto" in (Tuning(tmp_path / "runs" / result["tuning"]).dir / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"methods": ("in-contxt",)}, "unknown method 'in-contxt': did you mean in-context"),
        ({"methods": ("metaicl",)}, "unknown method 'metaicl'"),
        ({"spaces": {"maml": {"inner_steps": [1]}}}, "a part for maml, which is not tuned"),
        ({"spaces": {"in-context": {"selector": ["knnn"]}}}, "unknown selector 'knnn': did you mean knn"),
        ({"spaces": {"in-context": {"order": ["givn"]}}}, "unknown order 'givn'"),
        ({"spaces": {"in-context": {"calibration": ["bach"]}}}, "unknown calibration 'bach'"),
        ({"spaces": {"in-context": {"template": ["sentiment-plan"]}}}, "unknown template 'sentiment-plan'"),
        ({"spaces": {"in-context": {"template": ["boolq-plain"]}}}, "template 'boolq-plain'"),
        ({"spaces": {"in-context": {"shots": [0, 8]}}}, "8 shots and support sets of 4; use a greater --k-shot"),
        ({"methods": ("maml",), "spaces": {}}, "maml learns from other tasks, but the card of 'films' names none"),
        ({"episodes": 3, "pruner": "wilcoxon"}, "needs 4 episodes"),
        ({"queries": 500}, "at most .* queries can be asked.*write --queries"),
        ({"test_queries": 500}, "at most .* queries can be asked.*write --test-queries"),
        (
            {"methods": ("lora",), "spaces": {"lora": {"rank": [4, 5000]}}},
            "rank of lora must be at most 32, the width of the model, but is 5,000",
        ),
        ({"methods": ("lora",), "spaces": {"lora": {"rank": {"from": 1, "to": 64}}}}, "rank of lora must be at most 32"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(spec: TuneSpec, tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(IclError, match=said):
        tune(replace(spec, **changes), out=tmp_path / "runs")
    assert not list((tmp_path / "runs").glob("tune-*"))


def test_another_specs_directory_is_refused_with_both_hashes(spec: TuneSpec, tmp_path: Path) -> None:
    resolved = prepare(spec, None).resolved
    directory = tmp_path / f"tune-films-{resolved.hash()[:10]}"
    directory.mkdir()
    (directory / "spec.json").write_text(json.dumps({"sha256": "0" * 64}), encoding="utf-8")
    with pytest.raises(IclError, match=f"begun with spec {'0' * 64}, but is asked for {resolved.hash()}"):
        tune(spec, out=tmp_path)
    (directory / "spec.json").write_text("{", encoding="utf-8")
    with pytest.raises(IclError, match=r"spec\.json is damaged: .*; delete the directory, or use another --out"):
        tune(spec, out=tmp_path)


def test_a_damaged_study_is_one_line(spec: TuneSpec, tmp_path: Path) -> None:
    directory = tmp_path / f"tune-films-{prepare(spec, None).resolved.hash()[:10]}"
    directory.mkdir()
    (directory / "study.sqlite").write_bytes(b"half of a study" * 100)
    with pytest.raises(IclError, match=r"the study .* cannot be used"):
        tune(spec, out=tmp_path)


def test_a_comparison_refuses_settings_of_who_is_not_compared(films: str, tiny_model_dir: Path, tmp_path: Path) -> None:
    spec = ComparisonSpec(films, ("in-context",), model=str(tiny_model_dir), settings={"lora": {"rank": 2}})
    with pytest.raises(IclError, match="settings are given for lora, which is not compared"):
        compare.prepare.prepare(spec, None)
    assert "settings" not in replace(spec, settings={}).to_json(), "hashes from before there were settings stay"


def test_work_is_counted_from_requests() -> None:
    class Scores:
        work = Work()

        def score(self, requests: Any, progress: Any) -> list[Any]:
            return [None for _ in requests]

    engine = CountingEngine(Scores(), paid := set[str]())  # type: ignore[arg-type]
    one, two = ScoreRequest((1, 2, 3), (4,)), ScoreRequest((1, 2, 3), (5,))
    engine.score([one, two], lambda done, of: None)
    assert engine.whole.tokens_unique == engine.charged.tokens_unique == 3
    assert engine.whole.scored_rows == 1
    assert set(engine.marks) == paid == {mark("score", r.token_ids, 3) for r in (one, two)}
    engine.score([one, ScoreRequest((1, 2, 6), (4,))], lambda done, of: None)
    assert engine.whole.tokens_unique == 3 + 4
    assert engine.charged.tokens_unique == 3 + 3
