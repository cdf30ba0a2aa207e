"""`icl tasks` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from icl.cli.main import main
from tests.tasks.taskfiles import reviews, write_card


def test_validate_exit_code_is_1_on_errors_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card = str(write_card(tmp_path, reviews(40)))
    assert main(["tasks", "validate", card]) == 0
    printed = capsys.readouterr().out
    assert "0 errors, 0 warnings" in printed
    assert "missed with probability" in printed
    write_card(tmp_path, [*reviews(40), {"text": "Review number 1!", "label": "bad"}])
    assert main(["tasks", "validate", card]) == 1
    assert "label noise" in capsys.readouterr().out
    assert main(["tasks", "validate", card, "--json"]) == 1
    value = json.loads(capsys.readouterr().out)
    assert value["errors"] == 1
    assert value["findings"][0]["rule"] == "label noise"
    assert main(["tasks", "validate", "nothing"]) == 2
    assert "unknown task 'nothing'" in capsys.readouterr().err
