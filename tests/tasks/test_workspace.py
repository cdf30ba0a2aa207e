"""`icl tasks add`: cards collected in a workspace, in versions that stay as they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from taskfiles import jsonl, reviews, write_card

from icl.cli.main import main
from tasks.load import load_task
from tasks.workspace import versions


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ICL_WORKSPACE", str(tmp_path / "collected"))
    return tmp_path / "collected"


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["tasks", *arguments])
    out = capsys.readouterr()
    return code, out.out, out.err


def card(directory: Path, n: int = 40, **changes: Any) -> Path:
    directory.mkdir(exist_ok=True)
    return write_card(directory, reviews(n), **changes)


def test_a_card_is_used_by_its_name_with_its_data_and_without_the_original(
    tmp_path: Path, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = card(tmp_path / "mine")
    before = load_task(path)
    code, out, err = call(capsys, "add", str(path))
    assert code == 0, err
    assert "added toy, version 1" in out
    for file in path.parent.iterdir():
        file.unlink()
    assert load_task("toy").fingerprint == before.fingerprint
    assert load_task("toy@1").fingerprint == before.fingerprint
    rows = json.loads(call(capsys, "list", "--json")[1])
    assert rows[-1] == {"name": "toy", "kind": "classification", "source": "files", "licence": "not stated", "description": "A toy task.", "version": 1}  # fmt: skip
    assert "version" not in rows[0]
    assert "files (version 1)" in call(capsys, "list")[1]


def test_a_changed_card_or_changed_data_makes_a_version_and_keeps_the_old(
    tmp_path: Path, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = card(tmp_path / "mine")
    first = load_task(path).fingerprint
    assert json.loads(call(capsys, "add", str(path), "--json")[1])["added"] is True
    again = json.loads(call(capsys, "add", str(path), "--json")[1])
    assert (again["version"], again["added"]) == (1, False), "nothing has changed"
    jsonl(path.parent / "all.jsonl", reviews(50))
    assert json.loads(call(capsys, "add", str(path), "--json")[1])["version"] == 2
    card(tmp_path / "mine", 50, description="Another.")
    assert json.loads(call(capsys, "add", str(path), "--json")[1])["version"] == 3
    assert versions(workspace, "toy") == [1, 2, 3]
    assert load_task("toy@1").fingerprint == first
    assert load_task("toy").description == "Another."
    assert load_task("toy@2").description == "A toy task."
    code, _, err = call(capsys, "show", "toy@4")
    assert code == 2
    assert "unknown version of task 'toy@4': did you mean" in err


def test_the_template_beside_a_card_comes_along(tmp_path: Path, workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = card(tmp_path / "mine", template="mine.jinja")
    (path.parent / "mine.jinja").write_text("{% block query %}{{ text }} ={% endblock %}", encoding="utf-8")
    assert call(capsys, "add", str(path))[0] == 0
    assert Path(load_task("toy").default_template).parent == workspace / "tasks" / "toy" / "1"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "sst2"}, "'sst2' is a task of the library; change 'name'"),
        ({"name": "meta-train"}, "'meta-train' is a word of 'icl compare'"),
        ({"template": "nonesuch"}, "unknown template 'nonesuch'"),
        ({"labels": {"bad": "bad", "fine": "fine"}}, "good"),
        ({"source": {"type": "files", "path": "../other.jsonl"}}, "must lie in its own directory"),
    ],
)
def test_what_cannot_be_used_is_not_registered(
    changes: dict[str, Any], message: str, tmp_path: Path, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = card(tmp_path / "mine", **changes)
    code, out, err = call(capsys, "add", str(path))
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.strip().splitlines()) == 1
    assert not any(workspace.rglob("*.yaml"))
    assert "toy" not in {row["name"] for row in json.loads(call(capsys, "list", "--json")[1])}


def test_another_workspace_is_named_by_an_option(
    tmp_path: Path, workspace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    code, out, _ = call(capsys, "add", str(card(tmp_path / "mine")), "--workspace", str(other))
    assert code == 0
    assert f"export ICL_WORKSPACE={other}" in out
    assert versions(other, "toy") == [1]
    assert not workspace.exists()
    assert "toy" in {row["name"] for row in json.loads(call(capsys, "list", "--json", "--workspace", str(other))[1])}
    code, _, err = call(capsys, "show", "toy")
    assert code == 2
    assert "unknown task 'toy'" in err
    monkeypatch.setenv("ICL_WORKSPACE", str(other))
    assert call(capsys, "show", "toy")[0] == 0
