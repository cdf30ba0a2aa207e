"""A second comparison computes no prompt twice, is charged what the first one paid, and says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from arena import review_task

import compare.prepare
from compare import ComparisonSpec
from compare.run import compare as run_comparison
from icl.engine.hf import HFEngine


@pytest.fixture
def spec(tmp_path: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> ComparisonSpec:
    task = review_task(tmp_path, "films")
    monkeypatch.setattr(compare.prepare, "load_task", lambda name, data_dir=None: task)
    names = ("zero-shot", "in-context")
    return ComparisonSpec("films", names, k_shot=(2,), episodes=2, queries=6, model=str(tiny_model_dir), dtype="float32", device="cpu")


def test_what_is_found_is_charged_as_it_was_computed(spec: ComparisonSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run_comparison(spec, out=tmp_path / "one")
    calls: list[int] = []
    score = HFEngine.score
    monkeypatch.setattr(HFEngine, "score", lambda self, requests, progress: calls.append(len(requests)) or score(self, requests, progress))
    second = run_comparison(spec, out=tmp_path / "two")
    assert calls == []
    for name in ("summary.json", "predictions.parquet"):
        assert (second.dir / name).read_bytes() == (first.dir / name).read_bytes()
    paid, found = first.read("cost"), second.read("cost")
    assert paid["reused"] == {"seconds": 0.0, "flops": 0}
    assert found["reused"]["flops"] > 0
    assert paid["language_model_flops"] - found["language_model_flops"] == found["reused"]["flops"]
    for before, now in zip(paid["rows"], found["rows"], strict=True):
        assert now["flops"] == before["flops"]
        assert now["seconds"]["per_query"] > 0.5 * before["seconds"]["per_query"]


def test_fresh_and_another_plan_compute_again(spec: ComparisonSpec, tmp_path: Path) -> None:
    run_comparison(spec, out=tmp_path)
    assert run_comparison(spec, out=tmp_path, fresh=True).read("cost")["reused"]["flops"] == 0
    assert run_comparison(replace(spec, batch_tokens=64), out=tmp_path).read("cost")["reused"]["flops"] == 0


def test_scores_of_adapted_weights_are_never_kept(spec: ComparisonSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from icl.engine.store import ScoreStore

    kept: list[Any] = []
    monkeypatch.setattr(ScoreStore, "put", lambda self, items, replace=False: kept.extend(items))
    run_comparison(replace(spec, learners=("lora",)), out=tmp_path, probes=False)  # which also ask the model as it is
    assert kept == []
