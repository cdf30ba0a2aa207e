"""`--learners all`: who takes part, who is left out and why; specs from before `--adapts`; meta-training that diverges."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from arena import plain_episode, plain_tools
from test_compare_run import known_tasks

import compare.prepare
import compare.training
from compare import ComparisonSpec, search
from compare.course import Course
from compare.diverged import Diverged, DivergedLearner
from compare.journal import Record
from compare.learners import LEARNERS, get_family
from compare.meta_tasks import MetaEpisodes
from compare.once import trained_once
from compare.play import play
from compare.prepare import prepare
from compare.report import facts
from compare.run import compare as run_comparison
from compare.types import spec_sha256
from tasks import IclError

META = {"metaicl", "matching-net-fce", "maml", "fomaml", "reptile", "anil", "meta-sgd"}


@pytest.fixture
def spec(tmp_path: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> ComparisonSpec:
    tasks = known_tasks(tmp_path)
    monkeypatch.setattr(compare.prepare, "load_task", lambda name, data_dir=None: tasks[name])
    return ComparisonSpec(
        "films", ("all",), k_shot=(2,), episodes=2, queries=4, model=str(tiny_model_dir), dtype="float32", device="cpu", meta_steps=2
    )


def test_all_are_those_that_can_run(spec: ComparisonSpec) -> None:
    prepared = prepare(spec, None)
    assert set(LEARNERS) - set(prepared.families) == {"bitfit"}
    assert [left.learner for left in prepared.left_out] == ["bitfit"]
    assert "LlamaForCausalLM has none" in str(prepared.left_out[0])
    assert "leave bitfit out" not in str(prepared.left_out[0])
    assert prepared.spec.learners == ("all",)
    assert prepared.resolved.everyone == tuple(prepared.families)


def test_meta_learners_without_enough_rows_for_k_are_left_out_of_all_and_an_error_when_named(spec: ComparisonSpec) -> None:
    most = prepare(spec, None).pools().most_shots
    assert most >= 2
    assert not META & {left.learner for left in prepare(replace(spec, k_shot=(most,)), None).left_out}
    more = replace(spec, k_shot=(2, most + 1))
    prepared = prepare(more, None)
    assert {left.learner for left in prepared.left_out} == META | {"bitfit"}
    assert f"K = {most} at most, not for {most + 1}" in str(prepared.left_out[0])
    with pytest.raises(IclError, match=f"maml is meta-trained on .* K = {most} at most, not for {most + 1}; use a smaller --k-shot"):
        prepare(replace(more, learners=("maml",)), None)


def test_meta_learners_without_other_tasks_are_left_out_of_all_and_an_error_when_named(spec: ComparisonSpec) -> None:
    prepared = prepare(replace(spec, task="alone"), None)
    assert {left.learner for left in prepared.left_out} == META | {"bitfit"}
    assert all("\n" not in str(left) for left in prepared.left_out)
    assert "the card of 'alone' names none" in next(left.reason for left in prepared.left_out if left.learner == "maml")
    with pytest.raises(IclError, match="maml learns from other tasks"):
        prepare(replace(spec, task="alone", learners=("maml",)), None)
    with pytest.raises(IclError, match="leave bitfit out of --learners"):
        run_comparison(replace(spec, learners=("bitfit",)))


def test_the_report_says_who_is_left_out(spec: ComparisonSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    some = {name: LEARNERS[name] for name in ("zero-shot", "bitfit", "linear-probe", "maml")}
    monkeypatch.setattr(compare.prepare, "get_families", lambda names, adapts: dict(some))
    run = run_comparison(replace(spec, task="alone"), out=tmp_path / "runs")
    summary = run.read("summary")
    assert [row["learner"] for row in summary["rows"]] == ["zero-shot", "linear-probe"]
    assert [name for name, _ in facts.left_out(summary)] == ["bitfit", "maml"]
    page, text = ((run.dir / name).read_text(encoding="utf-8") for name in ("report.html", "report.md"))
    for word in ("bitfit", "maml"):
        assert f"<li>{word}: " in page
        assert f"- {word} is left out: " in text
    assert "--learners all" in text


def test_a_spec_from_before_adapts_has_the_hash_that_it_had(spec: ComparisonSpec) -> None:
    resolved = prepare(replace(spec, learners=("zero-shot",)), None).resolved
    now = json.loads(json.dumps(resolved.to_json()))
    before = {name: value for name, value in now.items() if name != "everyone"}
    before["spec"] = {name: value for name, value in now["spec"].items() if name != "adapts"}
    assert spec_sha256(before) == spec_sha256(now)
    assert ComparisonSpec.from_json(before["spec"]) == resolved.spec
    other = prepare(replace(spec, learners=("maml",), adapts="lora"), None).resolved
    assert other.hash() != prepare(replace(spec, learners=("maml",)), None).resolved.hash()


def test_meta_learners_on_the_model_run_to_the_end_and_say_what_the_budget_bought(spec: ComparisonSpec, tmp_path: Path) -> None:
    run = run_comparison(replace(spec, learners=("zero-shot", "fomaml", "maml"), adapts="lora"), out=tmp_path / "runs")
    summary = run.read("summary")
    assert summary["budget"]["meta_steps_bought"]["steps"] == {"maml": {"2": 2}, "fomaml": {"2": 2}}
    assert all(row["failed_episodes"] == 0 for row in summary["rows"])
    costs = {row["learner"]: row["flops"] for row in run.read("cost")["rows"]}
    assert costs["maml"]["meta_train"] > costs["fomaml"]["meta_train"] > 0
    assert costs["fomaml"]["adapt"] > costs["zero-shot"]["adapt"] == 0
    text = (run.dir / "report.md").read_text(encoding="utf-8")
    assert "maml 2 (K = 2); fomaml 2 (K = 2): what 10" in text or "fomaml 2 (K = 2)" in text
    assert "--adapts lora" in text


def test_metaicl_that_diverges_fails_its_episodes_and_not_the_comparison(
    spec: ComparisonSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = compare.training.gradient

    def broken(*of: Any) -> float:
        honest(*of)
        return math.nan

    monkeypatch.setattr(compare.training, "gradient", broken)
    run = run_comparison(replace(spec, learners=("zero-shot", "metaicl")), out=tmp_path / "runs")
    row = run.read("summary")["rows"][1]
    assert row["failed_episodes"] == 2
    assert "metaicl in meta-training diverged" in row["failures"][0]["reason"]
    assert row["accuracy"]["mean"] == 0.5
    assert run.read("cost")["rows"][1]["flops"]["meta_train"] > 0


@pytest.mark.parametrize("name", ["maml", "fomaml", "reptile", "anil", "meta-sgd"])
def test_a_head_that_diverges_in_meta_training_says_so(name: str) -> None:
    family = get_family(name)
    wild = replace(family, grid=(replace(family.grid[0], inner_lr=math.inf),))
    chosen = search.choose(wild, plain_tools(meta_steps=3), 4, MetaEpisodes(tuple(plain_episode(i) for i in range(3)), ()), 0)
    assert isinstance(chosen.learner, DivergedLearner)
    assert f"{name} diverged in meta-training" in play(chosen.learner, plain_episode(7), 0).reason


class Remembers:
    def __init__(self) -> None:
        self.kept: dict[str, Record] = {}

    def get(self, key: str) -> Record | None:
        return self.kept.get(key)

    def put(self, key: str, record: Record) -> None:
        self.kept[key] = record


def test_divergence_is_kept_and_not_tried_again() -> None:
    memory, tries = Remembers(), []
    untrained: Any = get_family("maml").build(plain_tools(), get_family("maml").grid[0])

    def train() -> Any:
        tries.append(1)
        raise Diverged("too wild", 7)

    found = [trained_once(memory, "key", untrained, train, Course()) for _ in range(2)]
    assert len(tries) == 1
    assert found[0] == found[1]
    assert found[0].learner == DivergedLearner("maml", "too wild", False, 7)
    assert np.isfinite(found[0].seconds)
