"""`icl sweep` as a person uses it: a starter file, a dry run, one JSON value, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from icl.cli.main import main
from icl.sweep.example import EXAMPLE


@pytest.fixture
def file(own_task: Path, tiny_model_dir: Path, tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    text = f"task: {own_task}\nmodel: {tiny_model_dir}\nepisodes: 2\nqueries: 6\ndtype: float32\ndevice: cpu\ngrid: {{shots: [0, 1], calibration: [none, batch]}}\n"
    path.write_text(text, encoding="utf-8")
    return path


def test_example_then_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "--example"]) == 0
    assert capsys.readouterr().out == EXAMPLE
    assert main(["sweep"]) == 2
    assert "icl sweep --example" in capsys.readouterr().err


def test_dry_run_then_the_sweep_then_again(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "runs"
    assert main(["sweep", str(file), "--out", str(out), "--dry-run", "--json"]) == 0
    said = capsys.readouterr()
    plan = json.loads(said.out)
    assert (plan["cells"], plan["runs"], plan["finished"]) == (4, 2, 0)
    assert len(plan["list"]) == 4
    assert "4 cells in 2 runs (0 finished, 2 to make); at most" in said.err
    assert not out.exists()

    assert main(["sweep", str(file), "--out", str(out), "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["runs"] == {"computed": 2, "found": 0}
    assert 0 < made["cost"]["computed"]["tokens_unique"] <= plan["tokens"] * 1.5, "the estimate is of the right size"
    assert plan["tokens"] < made["cost"]["computed"]["tokens_unique"] * 1.5

    assert main(["sweep", str(file), "--out", str(out)]) == 0
    shown = capsys.readouterr()
    assert "2 found finished" in shown.out
    assert "report.html" in shown.out
    assert "2 finished, 0 to make)" in shown.err
    assert main(["runs", "list", "--out", str(out), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 2, "the sweep's own directory is no run"


def test_a_failed_cell_is_exit_code_1_and_a_mistake_2(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(file.read_text(encoding="utf-8").replace("[0, 1]", "[0, 40]"), encoding="utf-8")
    out = tmp_path / "runs"
    assert main(["sweep", str(file), "--out", str(out)]) == 1
    assert "failed  2 cells: shots 40, calibration none | batch: a prompt must fit" in capsys.readouterr().out
    file.write_text(file.read_text(encoding="utf-8").replace("calibration:", "calibraton:"), encoding="utf-8")
    assert main(["sweep", str(file), "--out", str(tmp_path / "new")]) == 2
    assert "unknown field 'calibraton': did you mean calibration" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
    assert main(["sweep", str(file), "--jobs", "0"]) == 2


def test_more_shots_than_examples_are_said_by_the_plan(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = file.read_text(encoding="utf-8").replace("shots: [0, 1]", "shots: [0, 1000000]")
    file.write_text(text, encoding="utf-8")
    assert main(["sweep", str(file), "--out", str(tmp_path / "runs"), "--dry-run", "--json"]) == 1
    plan = json.loads(capsys.readouterr().out)
    assert [bool(cell["reason"]) for cell in plan["list"]] == [False, False, True, True]
