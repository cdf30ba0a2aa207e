"""The studies on images on a toy source: what is tested on the same episodes, what the tables say, which plans are whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from compare.images.learners import IMAGE_LEARNERS
from compare.images.spec import ImageSpec
from tasks import IclError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Imports a module of `studies/`; the toy source `blobs` is there."""
    import importlib

    monkeypatch.syspath_prepend(str(ROOT / "studies"))
    importlib.import_module("image_arena").install(monkeypatch)
    return importlib.import_module


def test_omniglot_runs_and_its_page_has_both_columns(
    study: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    omniglot = study("omniglot")
    monkeypatch.setattr(omniglot, "SETTINGS", {"5w1s": omniglot.Setting("blobs", 5, 1)})
    shares = {"protonet": omniglot.Share(2, 2, "conv4"), "anil": omniglot.Share(3, 2)}
    monkeypatch.setattr(omniglot, "PLAN", {"5w1s": shares})
    monkeypatch.setattr(omniglot, "spec_of", _small(omniglot.spec_of))
    (tmp_path / "omniglot.md").write_text("before\n<!-- tables -->\n<!-- end of tables -->\nafter\n", encoding="utf-8")
    omniglot.main(["--episodes", "6", "--out", str(tmp_path / "runs"), "--docs", str(tmp_path)])
    page = (tmp_path / "omniglot.md").read_text(encoding="utf-8")
    assert "ours, % (6 episodes) | published, %" in page
    assert "| 98.8 | 2 × 2 |" in page
    assert "| – | 3 × 2 |" in page, "no figure of ANIL on Omniglot is among the references"
    assert page.startswith("before")
    numbers = json.loads((tmp_path / "omniglot.json").read_text(encoding="utf-8"))["5w1s"]
    assert {line["learner"]: line["backbone"] for line in numbers} == {"protonet": "conv4", "anil": "conv4-strided"}
    assert (tmp_path / "omniglot.svg").read_text(encoding="utf-8").startswith("<svg")
    capsys.readouterr()
    with pytest.raises(SystemExit, match="unknown setting '5w2s': did you mean 5w1s"):
        omniglot.main(["--settings", "5w2s"])


def test_the_study_across_domains(study: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    across = study("cross_domain")
    monkeypatch.setattr(across, "SOURCES", {"blobs": ("blobs:b",)})
    monkeypatch.setattr(across, "spec_of", _small(across.spec_of))
    for name in ("cross-domain.md", "meta-overfitting.md"):
        (tmp_path / name).write_text("<!-- tables -->\n<!-- end of tables -->\n", encoding="utf-8")
    across.main(
        [
            "--sources",
            "blobs",
            "--learners",
            "protonet",
            "--steps",
            "2",
            "--episodes",
            "4",
            "--out",
            str(tmp_path / "runs"),
            "--docs",
            str(tmp_path),
        ]
    )
    assert "| learner | new classes of `blobs:a` | `blobs:b` |" in (tmp_path / "cross-domain.md").read_text(encoding="utf-8")
    assert "| blobs | protonet |" in (tmp_path / "meta-overfitting.md").read_text(encoding="utf-8")
    assert (tmp_path / "meta-overfitting.svg").is_file()
    with pytest.raises(SystemExit, match="unknown source of the study 'blob'"):
        across.main(["--sources", "blob"])


def _small(spec_of: Callable[..., ImageSpec]) -> Callable[..., ImageSpec]:
    return lambda *given: replace(spec_of(*given), filters=4, queries=4, meta_batch=2)


def test_other_episodes_are_not_set_side_by_side(study: Callable[[str], Any]) -> None:
    images = study("images")
    line = images.Line("a", "a", "maml", 5, 1, (0.5, 0.7), 0, 1, 1, "conv4", "batch", 1.0, {}, (), "one")
    images.check_same_episodes([line, replace(line, learner="anil"), replace(line, n_way=20, episodes_sha256="two")])
    with pytest.raises(IclError, match="anil was tested on other episodes than maml"):
        images.check_same_episodes([line, replace(line, learner="anil", episodes_sha256="two")])


def test_every_share_of_the_plan_is_a_comparison_that_can_be_made(study: Callable[[str], Any]) -> None:
    omniglot, report = study("omniglot"), study("omniglot_report")
    assert set(omniglot.PLAN) == set(omniglot.SETTINGS) == set(report.TITLES) == set(report.PUBLISHED)
    for setting, shares in omniglot.PLAN.items():
        for name, share in shares.items():
            assert omniglot.spec_of(setting, name, share).learners == (name,)
    assert set(study("cross_domain").LEARNERS) <= set(IMAGE_LEARNERS)
