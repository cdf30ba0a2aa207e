"""`icl tasks import` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from icl.cli.main import main

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "lm_eval"
STOCK = GOLDEN / "stock"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The golden documents of arc_easy and gsm8k as a mirror."""
    tasks = json.loads((GOLDEN / "golden.json").read_text(encoding="utf-8"))["tasks"]
    for name in ("arc_easy", "gsm8k"):
        folder = tmp_path / "mirror" / name
        folder.mkdir(parents=True)
        for split, rows in tasks[name]["splits"].items():
            (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return tmp_path / "mirror"


def test_imported_tasks_can_be_evaluated_from_anywhere(
    tmp_path: Path, data: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "tasks"
    assert main(["tasks", "import", "arc_easy", "gsm8k", "--from", str(STOCK), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert f"icl evaluate {out / 'gsm8k.yaml'} --model MODEL --shots 5" in printed
    assert "metric acc_norm" in printed
    assert sorted(path.name for path in out.iterdir()) == ["arc_easy.jinja", "arc_easy.yaml", "gsm8k.jinja", "gsm8k.yaml"]
    monkeypatch.chdir(data)  # the template is found beside the card
    assert main(["tasks", "show", str(out / "gsm8k.yaml"), "--data-dir", str(data)]) == 0
    command = ["evaluate", str(out / "arc_easy.yaml"), "--data-dir", str(data), "--model", str(tiny_model_dir), "--shots", "1"]
    assert main([*command, "--episodes", "1", "--queries", "1", "--out", str(tmp_path / "runs")]) == 0
    assert len(list((tmp_path / "runs").rglob("summary.json"))) == 1


def test_all_files_or_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["tasks", "import", str(STOCK / "arc" / "arc_easy.yaml"), "--out", str(tmp_path)]
    assert main([*command, "nothing", "--from", str(STOCK)]) == 2
    assert "has the key 'task: nothing'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    assert main([*command, "--json"]) == 0
    (said,) = json.loads(capsys.readouterr().out)
    assert said["name"] == "arc_easy"
    assert any("acc_norm" in line for line in said["left_out"])
    assert main(command) == 2
    assert "arc_easy.jinja must be a new file, but it exists" in capsys.readouterr().err


def test_names_need_a_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tasks", "import", "arc_easi", "--from", str(STOCK)]) == 2
    assert "did you mean arc_easy" in capsys.readouterr().err
    assert main(["tasks", "import", "arc_easy", "--from", str(tmp_path / "none")]) == 2
    assert "--from must be a directory" in capsys.readouterr().err
    assert main(["tasks", "import", str(tmp_path / "none.yaml")]) == 2
    assert "there is no file" in capsys.readouterr().err
