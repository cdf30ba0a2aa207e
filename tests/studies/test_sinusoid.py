"""The sinusoid study with a handful of steps: its tasks, what resuming gives after a kill, its table and its plot."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks import keyed_rng
from tasks.functions import sinusoid

STUDIES = Path(__file__).resolve().parents[2] / "studies"


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(STUDIES))
    import sinusoid as module

    return module


def test_functions_are_those_of_the_paper() -> None:
    functions = sinusoid.draw(4000, keyed_rng(0, "test"))
    x = sinusoid.inputs(4000, 6, keyed_rng(1, "test"))
    y = functions(x)
    for values, (low, high) in ((functions.amplitude, (0.1, 5)), (functions.phase, (0, np.pi)), (x, (-5, 5))):
        assert low <= values.min() < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < values.max() <= high
        assert values.mean() == pytest.approx((low + high) / 2, rel=0.02, abs=0.1)
    assert y[7, 3] == functions.amplitude[7] * np.sin(x[7, 3] - functions.phase[7])


def test_draws_are_keyed_and_the_oracle_is_told_the_truth(study: Any) -> None:
    plain, told = (study.Training(name, 5, 10, 0) for name in ("maml", "oracle"))
    a, b = plain.tasks("train", 3, 4, 7), told.tasks("train", 3, 4, 7)
    assert a.support_x.shape == (4, 5, 1)
    assert a.query_x.shape == (4, 7, 1)
    assert np.array_equal(a.query_y, b.query_y)
    x, amplitude, phase = np.moveaxis(b.query_x.double().numpy(), -1, 0)
    np.testing.assert_allclose(b.query_y[..., 0].numpy(), amplitude * np.sin(x - phase), atol=1e-5)
    assert not np.array_equal(a.query_x, plain.tasks("train", 4, 4, 7).query_x)
    assert not np.array_equal(a.query_x, plain.tasks("test", 3, 4, 7).query_x)


def test_after_a_kill_it_ends_in_the_same_bytes(study: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real SIGKILL in another process, somewhere between two states that are kept; this process goes on."""
    monkeypatch.setattr(study, "KEEP_EVERY", 20)
    whole, killed = (tmp_path / name / "fomaml-5-shot.safetensors" for name in ("whole", "killed"))
    arguments = ["--learners", "fomaml", "--steps", "100", "--out"]
    code = f"import sys; sys.path.insert(0, {str(STUDIES)!r}); import sinusoid; sinusoid.KEEP_EVERY = 20; sinusoid.main()"
    environment = {**os.environ, "PYTHONPATH": str(STUDIES.parent)}
    process = subprocess.Popen([sys.executable, "-c", code, *arguments, str(killed.parent)], env=environment, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while not killed.exists() and time.monotonic() < until:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    training = study.Training("fomaml", 5, 100, 0)
    assert 20 <= int(study.load_state(killed)[0].step) < 100, "it was to be killed on its way"
    training.run(killed)
    training.run(whole)
    assert killed.read_bytes() == whole.read_bytes()


def test_a_learner_gets_a_line_and_a_curve(study: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(study, "TEST_TASKS", 12)
    monkeypatch.setattr(study, "VALIDATION_TASKS", 6)
    page = tmp_path / "docs" / "sinusoid.md"
    page.parent.mkdir()
    page.write_text("before\n<!-- table -->\nold\n<!-- end of table -->\nafter\n", encoding="utf-8")
    study.main(["--learners", "oracle,maml", "--steps", "2", "--out", str(tmp_path / "kept"), "--docs", str(page.parent)])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| oracle", "| maml"]
    assert "1.13 ± 0.18" in next(line for line in lines if line.startswith("| maml"))
    assert page.read_text(encoding="utf-8") == "\n".join(["before", "<!-- table -->", *lines, "<!-- end of table -->", "after", ""])
    numbers = json.loads((page.parent / "sinusoid.json").read_text(encoding="utf-8"))
    assert all(len(n["mse"]) == 11 and n["curve"][-1][0] == 2 for n in numbers)
    oracle = numbers[0]["mse"]
    assert oracle[0] == oracle[10], "the oracle does not adapt"
    assert "<svg" in (page.parent / "sinusoid.svg").read_text(encoding="utf-8")


def test_a_state_of_another_training_is_refused(study: Any, tmp_path: Path, capsys: Any) -> None:
    study.main(["--learners", "joint", "--steps", "1", "--out", str(tmp_path)])
    with pytest.raises(SystemExit) as stopped:
        study.main(["--learners", "joint", "--steps", "2", "--out", str(tmp_path)])
    assert "another training (other steps)" in str(stopped.value)
    with pytest.raises(SystemExit):
        study.main(["--learners", "mamml"])
    assert "unknown learner mamml" in capsys.readouterr().err
