"""The studies of in-context linear regression and of functions as text, with a handful of steps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from compare.baselines import errors_along, least_squares
from tasks.functions import SHIFTS

STUDIES = Path(__file__).resolve().parents[2] / "studies"


@pytest.fixture
def regression(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(STUDIES))
    import linear_regression as module

    monkeypatch.setattr(module, "TEST_FUNCTIONS", 80)
    return module


@pytest.fixture
def as_text(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(STUDIES))
    import functions_as_text as module

    return module


def test_a_curriculum_grows_dimensions_and_points(regression: Any) -> None:
    setting = regression.Setting(d=8, steps=90)
    assert [setting.in_use(step) for step in (0, 7, 8, 29, 30, 89)] == [5, 5, 6, 8, 8, 8]
    early, late = setting.draw(0), setting.draw(60)
    assert early.x.shape == (64, 11, 8)
    assert (early.x[..., 5:] == 0).all()
    weights = torch.linalg.lstsq(early.x[..., :5].double(), early.y.double()[..., None]).solution
    assert torch.allclose((early.x[..., :5].double() @ weights)[..., 0], early.y.double(), atol=1e-3), "still linear"
    assert late.x.shape == (64, 17, 8)
    assert (late.x != 0).all()
    assert torch.equal(early.x, setting.draw(0).x)
    assert not torch.equal(early.x, setting.draw(1).x)


def test_saying_nothing_has_an_error_of_one_under_every_shift(regression: Any) -> None:
    """What errors are divided by; and the transformer's errors along a sequence are those of a pass per position."""
    setting = regression.Setting(d=5, steps=1)
    params = setting.training().start().params
    for shift in SHIFTS:
        points = setting.test_points(shift)
        assert (points.asked_y**2).mean() / setting.mean_square(shift) == pytest.approx(1, rel=0.35)
    moved = setting.test_points("orthants")
    plain = moved._replace(asked_x=moved.x, asked_y=moved.y)
    again = moved._replace(asked_x=moved.x.copy(), asked_y=moved.y)
    one_pass, many = (regression.transformer_errors(setting.model, params, p) for p in (plain, again))
    np.testing.assert_allclose(one_pass, many, rtol=1e-3, atol=1e-5)


def test_linear_regression_has_its_tables(regression: Any, tmp_path: Path, capsys: Any) -> None:
    page = tmp_path / "docs" / "linear-regression.md"
    page.parent.mkdir()
    page.write_text("before\n<!-- tables of d = 5 -->\nold\n<!-- end of tables of d = 5 -->\nafter\n", encoding="utf-8")
    regression.main(["--steps", "2", "--out", str(tmp_path / "kept"), "--docs", str(page.parent)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| learner, d = 5 | after 0 | after 2 | after 4 | after 5 | after 7 | after 10 |"
    exact = next(line for line in lines if line.startswith("| least squares"))
    assert exact.endswith("| 0.000 ± 0.000 | 0.000 ± 0.000 | 0.000 ± 0.000 |"), "from five points on"
    text = page.read_text(encoding="utf-8")
    assert "old" not in text
    assert "\n".join(lines) in text
    numbers = json.loads((page.parent / "linear-regression-d5.json").read_text(encoding="utf-8"))
    points = regression.Setting(5, 2).test_points("none")
    expected = errors_along(least_squares, points)[:, 3].mean() / 5
    assert numbers["errors"]["none"]["least squares"][3][0] == pytest.approx(expected, abs=1e-4)
    assert set(numbers["errors"]) == set(SHIFTS)
    assert "<svg" in (page.parent / "linear-regression-d5.svg").read_text(encoding="utf-8")
    with pytest.raises(SystemExit) as stopped:
        regression.main(["--steps", "3", "--out", str(tmp_path / "kept")])
    assert "another training (other steps)" in str(stopped.value)


def test_every_learner_gets_the_same_episodes(as_text: Any, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(as_text, "SHOWN", (2, 4))
    given: list[Any] = []

    def lm(x: Any, y: Any, asked: Any) -> Any:
        """The truth of linear functions of one number, and nothing for the first task."""
        given.append((x, y, asked))
        out = (y[:, :1] / x[:, 0]) * asked[..., 0]
        out[0] = np.nan
        return out

    page = tmp_path / "docs" / "functions-as-text.md"
    page.parent.mkdir()
    page.write_text("before\n<!-- table -->\nold\n<!-- end of table -->\nafter\n", encoding="utf-8")
    arguments = [
        "--families",
        "linear-1d",
        "--tasks",
        "6",
        "--steps",
        "2",
        "2",
        "--out",
        str(tmp_path / "kept"),
        "--docs",
        str(page.parent),
    ]
    as_text.main(arguments, lm=lm)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[1] for line in lines[2:]] == [
        "least-squares", "3-nearest", "maml", "in-context-transformer", "language-model", "zero",
    ]  # fmt: skip
    assert lines[6].endswith("| 8 of 48 |")
    assert "\n".join(lines) in page.read_text(encoding="utf-8")
    (few, _, asked), (more, _, asked_again) = given
    assert few.shape == (6, 2, 1)
    assert np.array_equal(more[:, :2], few), "nested over K, the same queries"
    assert np.array_equal(asked, asked_again)
    assert np.array_equal(np.round(more, 2), more)
    rows = json.loads((page.parent / "functions-as-text.json").read_text(encoding="utf-8"))["rows"]
    told = next(row for row in rows if row["learner"] == "least-squares" and row["k"] == 4)
    assert told["mse"][0] < 0.01
    as_text.main(arguments, lm=lm)
    assert capsys.readouterr().out.splitlines() == lines, "kept trainings are found again"
    as_text.main([*arguments[:-2], "--learners", "zero,maml"])
    assert capsys.readouterr().out.splitlines()[2:] == [lines[7], lines[4]], "a part of it"
    with pytest.raises(SystemExit):
        as_text.main(["--learners", "mamml"])
    assert "unknown learner mamml; choose from" in capsys.readouterr().err


def test_least_squares_knows_sinusoids(as_text: Any) -> None:
    family = as_text.FAMILIES["sinusoid-1d"]
    x, y = family.points("test", 0, 20, 12)
    said = as_text.Told(family)(x[:, :8], y[:, :8], x[:, 8:])
    assert np.abs(said - y[:, 8:]).max() < 0.05, "two decimals are all that it lacks"
