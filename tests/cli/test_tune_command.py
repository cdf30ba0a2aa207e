"""`icl tune` as a person uses it: an example, one JSON value, a table, one line per mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from compare.tune.defaults import METHODS
from compare.tune.spacefile import example_text
from icl.cli import tune
from icl.cli.main import main

CARD_SPLITS = "{demonstration: {from: all, part: 0-40}, validation: {from: all, part: 40-70}, test: {from: all, part: 70-100}}"


@pytest.fixture
def task(own_task: Path) -> Path:
    """The card with a validation split."""
    lines = own_task.read_text(encoding="utf-8").split("splits:\n")
    after = lines[1].split("inputs:", 1)[1]
    own_task.write_text(f"{lines[0]}splits: {CARD_SPLITS}\ninputs:{after}", encoding="utf-8")
    return own_task


@pytest.fixture
def arguments(task: Path, tiny_model_dir: Path, tmp_path: Path) -> list[str]:
    options = "--methods in-context --k-shot 2 --trials 3 --episodes 2 --queries 6 --test-episodes 2 --test-queries 6 --dtype float32 --device cpu"
    return ["tune", str(task), "--model", str(tiny_model_dir), *options.split(), "--out", str(tmp_path / "runs")]


def test_an_example_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune", "--example"]) == 0
    assert capsys.readouterr().out == example_text()
    assert main(["tune"]) == 2
    assert "a tuning needs a task" in capsys.readouterr().err


def test_a_table_then_the_same_as_json(arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert "test accuracy" in shown
    assert "icl evaluate --spec" in shown
    assert main([*arguments, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["budget"] == {"amount": 1e14, "unit": "FLOP"}
    (of,) = result["methods"]
    assert "classify-plain" in of["space"]["template"], "the built-in space has the templates that fit"
    assert main(["runs", "list", "--out", str(tmp_path / "runs"), "--json"]) == 0
    assert [run["run"] for run in json.loads(capsys.readouterr().out)] == [of["test"]["run"]], "the tuning itself is no run"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--budget", "0TFLOP"], "a budget must be above 0"),
        (["--budget", "20"], "a number with its unit"),
        (["--sampler", "tpee"], "unknown sampler 'tpee': did you mean tpe?"),
        (["--k-shot", "none"], "--k-shot must be a positive number or 'all'"),
        (["--trials", "0"], "--trials must be 1 or more"),
        (["--space", "missing.yaml"], "missing.yaml: there is no such file"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str], more: list[str], said: str) -> None:
    assert main([*arguments, *more]) == 2
    line = capsys.readouterr().err
    assert said in line
    assert line.count("\n") == 1


def test_evaluate_takes_a_file_of_options_and_the_command_line_comes_first(
    task: Path, tiny_model_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "options.yaml"
    file.write_text(
        f"task: {task}\nmodel: {tiny_model_dir}\nshots: 2\ncalibration: [none, batch]\nepisodes: 2\nqueries: 6\ndtype: float32\ndevice: cpu\n",
        encoding="utf-8",
    )
    out = ["--out", str(tmp_path / "runs"), "--json"]
    assert main(["evaluate", "--spec", str(file), *out]) == 0
    first = json.loads(capsys.readouterr().out)
    assert (first["n_episodes"], first["n_queries"], set(first["metrics"])) == (2, 6, {"none", "batch"})
    assert main(["evaluate", "--spec", str(file), "--episodes", "3", "--calibration", "none", *out]) == 0
    second = json.loads(capsys.readouterr().out)
    assert (second["n_episodes"], second["n_queries"], set(second["metrics"])) == (3, 6, {"none"})
    spelt = [
        str(task),
        "--model",
        str(tiny_model_dir),
        *["--shots", "2", "--calibration", "none,batch", "--episodes", "2", "--queries", "6"],
    ]
    assert main(["evaluate", *spelt, "--dtype", "float32", "--device", "cpu", *out]) == 0
    assert json.loads(capsys.readouterr().out)["run"] == first["run"], "the same spec, the same run"
    assert main(["evaluate", *out]) == 2
    assert "a task must be named" in capsys.readouterr().err
    file.write_text("task: x\nshtos: 2\n", encoding="utf-8")
    assert main(["evaluate", "--spec", str(file), *out]) == 2
    assert "unknown field 'shtos': did you mean shots?" in capsys.readouterr().err


def test_the_help_names_every_method() -> None:
    from typing import get_type_hints

    (info,) = get_type_hints(tune.command, include_extras=True)["methods"].__metadata__
    assert [name for name in METHODS if name not in info.help] == []
