"""`icl tasks mirror`: hub data fetched once, read like the hub's, and never half there."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fakehub import commit, serving
from taskfiles import write_card

import tasks.mirror
from icl.cli.main import main
from tasks.load import load_task
from tests.tasks.test_hub_cache import parquet, process_environment

Card = dict[str, Any]
ROWS = [{"text": f"text {i}", "label": i % 2} for i in range(60)]
PERCENTS = {
    "demonstration": {"mirror": "train", "hub": {"from": "train", "part": "0-50"}},
    "validation": {"mirror": "validation", "hub": {"from": "train", "part": "50-70"}},
    "test": {"mirror": "test", "hub": {"from": "train", "part": "70-100"}},
}
TENTH = {
    "demonstration": {"mirror": {"from": "train", "part": "0-90"}, "hub": "train"},
    "validation": {"mirror": {"from": "train", "part": "90-100"}, "hub": "validation"},
    "test": "test",
}


def card(directory: Path, splits: Card, **source: Any) -> Path:
    directory.mkdir(exist_ok=True)
    return write_card(
        directory,
        [],
        source={"type": "hub", "repo": "someone/toy", **source},
        splits=splits,
        label_aliases={"neg": "bad", "pos": "good"},
        licence="MIT",
    )


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """`datasets.load_dataset` replaced by one that gives rows by split and keeps what it was asked for."""
    import datasets

    asked: list[str] = []
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])})
    parts = {"train": ROWS, "validation": [{"text": f"held {i}", "label": 1} for i in range(9)], "test": [{"text": "asked", "label": 0}]}

    def load_dataset(repo: str, config: str | None, split: str, revision: str) -> Any:
        asked.append(split)
        return datasets.Dataset.from_list(parts[split], features=features)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("tasks.sources.reach.answers", lambda: True)
    monkeypatch.delenv("ICL_DATA_DIR", raising=False)
    return asked


def test_a_mirror_gives_the_examples_of_the_hub(tmp_path: Path, hub: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    path, mirror = card(tmp_path, PERCENTS), tmp_path / "mirror"
    online = load_task(path)
    assert main(["tasks", "mirror", str(path), "--data-dir", str(mirror)]) == 0
    assert "written to" in capsys.readouterr().out
    offline = load_task(path, mirror)
    assert offline.fingerprint == online.fingerprint  # the same rows in the same roles, under the same ids
    assert offline.source == "mirror toy of someone/toy at main"
    described = json.loads((mirror / "toy" / "dataset.json").read_text(encoding="utf-8"))
    assert described["source"]["hub"] == "someone/toy"
    assert described["source"]["revision"] == "main"
    assert described["licence"] == "MIT"
    for name, file in described["splits"].items():
        data = (mirror / "toy" / f"{name}.jsonl").read_bytes()
        assert file["sha256"] == hashlib.sha256(data).hexdigest()
        assert file["rows"] == data.count(b"\n") == len(offline.splits["demonstration" if name == "train" else name])
    assert described["splits"]["validation"]["part"] == "50-70"


def test_roles_that_share_a_file_are_cut_by_the_rule_for_mirrors(tmp_path: Path, hub: list[str]) -> None:
    path, mirror = card(tmp_path, TENTH), tmp_path / "mirror"
    assert main(["tasks", "mirror", str(path), "--data-dir", str(mirror)]) == 0
    assert sorted(file.name for file in (mirror / "toy").iterdir()) == ["dataset.json", "test.jsonl", "train.jsonl"]
    task = load_task(path, mirror)
    assert len(task.splits["demonstration"]) + len(task.splits["validation"]) == len(ROWS)
    assert {e.id.split(":")[0] for e in task.splits["validation"]} == {"train"}


def test_a_second_call_does_nothing_and_says_so(tmp_path: Path, hub: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    path, mirror = card(tmp_path, PERCENTS), tmp_path / "mirror"
    command = ["tasks", "mirror", str(path), "--data-dir", str(mirror)]
    assert main(command) == 0
    before = {file: file.stat().st_mtime_ns for file in (mirror / "toy").iterdir()}
    hub.clear()
    capsys.readouterr()
    assert main([*command, "--json"]) == 0
    (said,) = json.loads(capsys.readouterr().out)
    assert not said["made"]
    assert not hub
    assert before == {file: file.stat().st_mtime_ns for file in (mirror / "toy").iterdir()}


def test_a_half_made_mirror_never_counts(
    tmp_path: Path, hub: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, mirror = card(tmp_path, PERCENTS), tmp_path / "mirror"
    command = ["tasks", "mirror", str(path), "--data-dir", str(mirror)]
    with monkeypatch.context() as patched:
        patched.setattr(tasks.mirror, "file_sha256", _interrupt)
        assert main(command) == 130
    assert not (mirror / "toy").exists()
    assert "0 of 1 data sets" in capsys.readouterr().err
    assert main(command) == 0
    assert load_task(path, mirror)


def _interrupt(path: Path) -> str:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("row", "is damaged: train.jsonl is not what was fetched; remove it"),
        ("revision", "holds other data than task 'toy' names (revision: main, not v2); remove it"),
        ("splits", "was made for another card: its train.jsonl is not what task 'toy' needs"),
    ],
)
def test_what_stands_in_the_way_is_said(
    tmp_path: Path, hub: list[str], change: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path, mirror = card(tmp_path, PERCENTS), tmp_path / "mirror"
    command = ["tasks", "mirror", str(path), "--data-dir", str(mirror)]
    assert main(command) == 0
    if change == "row":
        (mirror / "toy" / "train.jsonl").write_text("{}\n")
    else:
        card(tmp_path, TENTH if change == "splits" else PERCENTS, **({"revision": "v2"} if change == "revision" else {}))
    assert main(command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_mistakes(tmp_path: Path, hub: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    path = card(tmp_path, PERCENTS)
    assert main(["tasks", "mirror", str(path)]) == 2
    assert "--data-dir (or ICL_DATA_DIR) must name the directory" in capsys.readouterr().err
    mirror = tmp_path / "mirror"
    assert main(["tasks", "mirror", "movie-sentiment", "--data-dir", str(mirror)]) == 2
    assert "task 'movie-sentiment' needs no mirror: its data comes from package" in capsys.readouterr().err
    (mirror / "toy").mkdir(parents=True)
    assert main(["tasks", "mirror", str(path), "--data-dir", str(mirror)]) == 2
    assert "exists, but has no train.jsonl" in capsys.readouterr().err
    for name in ("train", "validation", "test"):
        (mirror / "toy" / f"{name}.jsonl").write_text("")
    assert main(["tasks", "mirror", str(path), "--data-dir", str(mirror)]) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert not hub


def test_from_a_hub_to_a_machine_without_one(tmp_path: Path) -> None:
    splits = {
        "demonstration": {"mirror": "train", "hub": {"from": "train", "part": "0-60"}},
        "test": {"mirror": "test", "hub": {"from": "train", "part": "60-100"}},
    }
    path = card(tmp_path, splits, config="plain", revision="refs/convert/parquet")
    mirror = tmp_path / "mirror"
    copy = {"plain/train/0000.parquet": parquet(ROWS)}
    with serving({"someone/toy": {"refs/convert/parquet": copy}}) as url:
        done = _icl(["mirror", str(path), "--data-dir", str(mirror)], tmp_path, url)
    assert done.returncode == 0, done.stderr
    described = json.loads((mirror / "toy" / "dataset.json").read_text(encoding="utf-8"))
    assert described["source"]["commit"] == commit("someone/toy", "refs/convert/parquet")
    task = load_task(path, mirror)
    assert sum(map(len, task.splits.values())) == len(ROWS)
    assert set(task.splits["test"].targets) == {"bad", "good"}


def test_without_a_network_it_is_one_line(
    tmp_path: Path, hub: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import datasets

    def away(*args: Any, **named: Any) -> Any:
        raise ConnectionError("cannot reach it\nat all")

    monkeypatch.setattr("tasks.sources.reach.answers", lambda: False)
    monkeypatch.setattr(datasets, "load_dataset", away)
    assert main(["tasks", "mirror", str(card(tmp_path, PERCENTS)), "--data-dir", str(tmp_path / "mirror")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "does not answer; go online" in line
    assert not (tmp_path / "mirror" / "toy").exists()


def _icl(arguments: list[str], home: Path, address: str) -> subprocess.CompletedProcess[str]:
    code = "import sys; from icl.cli.main import main; sys.exit(main(['tasks', *sys.argv[1:]]))"
    environment = process_environment(home, address)
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False, env=environment, timeout=120
    )
