"""The benchmark end to end with a tiny random model: programs agree, ratios are there, the tables are written. No time is asserted."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from benchmarks.exchange import load, save
from benchmarks.measure import Measured, Outcome, measure
from benchmarks.peers import start
from benchmarks.report import Results, write
from benchmarks.workloads import Setting, drawn, scoring
from icl.models import load_tokenizer, resolve_model
from tasks.load import load_task

MACHINE = {"cpu": "a CPU", "cores": 1, "torch_threads": 1, "versions": {"icl": {"torch": "0"}}}


def test_the_programs_agree_and_the_tables_are_written(
    tiny_model_dir: Path, own_task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
    card = own_task.read_text(encoding="utf-8").replace("positive: positive", "positive: rather good")
    own_task.write_text(card, encoding="utf-8")
    task = load_task(str(own_task))
    setting = Setting(load_tokenizer(resolve_model(str(tiny_model_dir))), None)
    shown = drawn(task, 3, "smoke")
    queries = list(task.splits["test"])[:5]
    workload = scoring("S", "smoke", task, setting, [(shown, q) for q in queries])
    assert load(save(workload, tmp_path / "saved.npz")) == workload
    assert len(workload.sequences) == 10
    assert {len(s) - f for s, f in zip(workload.sequences, workload.scored_from, strict=True)} != {1}, "several tokens per candidate"

    running, missing = start(["icl", "hf-loop", "floor"], str(tiny_model_dir), "float32")
    try:
        assert not missing
        measured, failed = measure(workload, running, 2, len(setting.tokenizer), tmp_path)
    finally:
        for process in running.values():
            process.close()
    assert not failed
    assert {name: len(o.seconds) for name, o in measured.outcomes.items()} == {"icl": 2, "hf-loop": 2, "floor": 2}
    loop = measured.outcomes["hf-loop"]
    assert loop.difference is not None
    assert 0 < loop.difference < 1e-4
    assert loop.same == 1.0
    assert measured.tokens_unique == measured.work["tokens_unique"] < workload.tokens_total == measured.work["tokens_total"]

    settings = {"model": "tiny", "dtype": "float32", "scale": 1, "rounds": 2}
    table, numbers, picture = write(Results(MACHINE, settings, [measured], [], {"vllm": "not here"}), tmp_path / "out")
    assert "| hf-loop |" in table.read_text(encoding="utf-8")
    assert set(json.loads(numbers.read_text(encoding="utf-8"))["workloads"][0]["programs"]) == {"icl", "hf-loop", "floor"}
    assert "<svg" in picture.read_text(encoding="utf-8")


def test_ratios_are_medians_within_rounds() -> None:
    """A machine that was twice as slow in one round for both programs does not move the ratio."""
    measured = Measured(None, 100)  # type: ignore[arg-type]
    measured.outcomes = {"icl": Outcome([1.0, 2.0, 1.0]), "lm-eval": Outcome([40.0, 80.0, 44.0])}
    assert measured.ratio("lm-eval", "icl") == 40.0
    assert measured.ratio("vllm", "icl") is None


@pytest.mark.model
def test_growth_is_measured_on_the_command_itself(tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import benchmarks.growing as growing

    monkeypatch.setattr(growing, "SIZES", (4, 12))
    monkeypatch.setattr(growing, "SHOTS", 2)
    sizes = growing.measure_growth(str(tiny_model_dir), "float32", 1, 1.0, None, tmp_path)
    assert [size.queries for size in sizes] == [4, 12]
    assert sizes[0].tokens_unique < sizes[1].tokens_unique < sizes[1].tokens_total
    assert np.isfinite(growing.exponent(sizes))
    table, *_ = write(Results(MACHINE, {"model": "tiny", "dtype": "float32", "scale": 1, "rounds": 1}, [], sizes, {}), tmp_path / "out")
    assert "| 12 |" in table.read_text(encoding="utf-8")
