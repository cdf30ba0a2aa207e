"""`icl compare RUN RUN…`: finished evaluations on equal queries, in pairs; other queries are refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from icl import Run, RunSpec, evaluate
from icl.cli.main import main
from icl.intervals import mcnemar, paired_difference
from icl.runs.answers import correct_answers


@pytest.fixture
def spec(own_task: Path, tiny_model_dir: Path) -> RunSpec:
    return RunSpec(
        str(own_task), model=str(tiny_model_dir), shots=1, episodes=3, queries=10, calibration=("none",), dtype="float32", device="cpu"
    )


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["compare", *arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_runs_on_equal_queries_are_compared_in_pairs(spec: RunSpec, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "runs"
    runs: list[Run] = [evaluate(replace(spec, shots=shots), out=out) for shots in (0, 2, 4)]
    code, printed, err = call(capsys, *[run.name for run in runs], "--out", str(out), "--json")
    assert code == 0, err
    found = json.loads(printed)
    assert found["differing"] == {"shots": [0, 2, 4]}
    values = [run.summary["metrics"]["none"]["accuracy"]["per_episode"] for run in runs]
    for i, row in enumerate(found["rows"]):
        assert row["run"] == runs[i].name
        assert row["accuracy"]["mean"] == pytest.approx(np.mean(values[i]))
        if not i:
            assert row["difference_to_first"] is row["mcnemar"] is None
            continue
        expected = paired_difference(values[i], values[0])
        assert row["difference_to_first"]["mean"] == expected.mean
        assert row["difference_to_first"]["p"] == expected.p_value
        assert expected.p_value is not None
        assert expected.p_value <= row["difference_to_first"]["p_adjusted"] <= 2 * expected.p_value
        mine, first = (correct_answers(run, "none", "e000") for run in (runs[i], runs[0]))
        assert np.mean(list(mine.values())) == pytest.approx(values[i][0])
        assert row["mcnemar"]["p_value"] == mcnemar(list(mine.values()), [first[q] for q in mine]).p_value
    directory = Path(found["dir"])
    assert {path.name for path in directory.iterdir()} == {"spec.json", "summary.json", "report.html"}
    page = (directory / "report.html").read_text(encoding="utf-8")
    assert all(run.name in page for run in runs)
    assert "http" not in page.split("</style>")[1]
    assert call(capsys, runs[1].name, str(runs[0].dir), "--out", str(out))[0] == 0
    assert [run.name for run in runs] == [run["run"] for run in listed(capsys, out)], "the table itself is no evaluation"


def listed(capsys: pytest.CaptureFixture[str], out: Path) -> list[dict[str, str]]:
    assert main(["runs", "list", "--out", str(out), "--json"]) == 0
    found: list[dict[str, str]] = json.loads(capsys.readouterr().out)
    return found


def test_runs_that_cannot_be_paired_are_refused_in_a_line(spec: RunSpec, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "runs"
    first = evaluate(spec, out=out).name
    others = {
        "the queries of episode e000": evaluate(replace(spec, seed=1), out=out).name,
        "the number of episodes (3 and 2)": evaluate(replace(spec, episodes=2), out=out).name,
        "the number of queries (10 and 4)": evaluate(replace(spec, queries=4), out=out).name,
    }
    mistakes = {difference: [first, other] for difference, other in others.items()}
    mistakes |= {
        "must be named once": [first, first],
        "two or more": [str(out / first)],
        "--k-shot belongs to a comparison of learners": [first, "another", "--k-shot", "2"],
        "no results with calibration 'batch'": [first, evaluate(replace(spec, shots=0), out=out).name, "--calibration", "batch"],
        "unknown run": [first, "nobody"],
    }
    for message, arguments in mistakes.items():
        code, printed, err = call(capsys, *arguments, "--out", str(out))
        assert code == 2, message
        assert printed == ""
        assert message in err
        assert len([line for line in err.splitlines() if line.startswith("icl: ")]) == 1
    assert not list(out.glob("compare-*"))
