"""`icl prompts` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from icl.cli.main import main

QUERY = "{% block query %}Text: {{ text }}\nSentiment:{% endblock %}"


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    file = tmp_path / "mine.jinja"
    file.write_text(QUERY, encoding="utf-8")
    return file


def test_lint_exit_code_is_1_on_errors_only(mine: Path, own_task: Path, tiny_model_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["prompts", "lint", str(mine), "--task", str(own_task), "--model", str(tiny_model_dir), "--shots", "2"]
    assert main(command) == 0
    assert "0 errors" in capsys.readouterr().out
    mine.write_text(QUERY.replace("Sentiment:", "Sentiment: "), encoding="utf-8")
    assert main([*command, "--json"]) == 1
    printed = json.loads(capsys.readouterr().out)
    assert printed["errors"] == 1
    assert [f["rule"] for f in printed["findings"] if f["severity"] == "error"] == ["P007"]
    assert main(command) == 1
    assert "P007  space before the answer" in capsys.readouterr().out


def test_lint_reports_a_template_that_cannot_be_read(mine: Path, own_task: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine.write_text("{% block query %}{{ text", encoding="utf-8")
    assert main(["prompts", "lint", str(mine), "--task", str(own_task)]) == 1
    assert "P001" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none"], "unknown template 'none'"),
        (["sentiment-plain", "--chat"], "--chat needs a tokenizer, but no model is named"),
        (["sentiment-plain", "--shots", "1000"], "--shots must be between 0 and the"),
    ],
)
def test_lint_mistakes_in_the_command(own_task: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    assert main(["prompts", "lint", *arguments, "--task", str(own_task)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err


def test_explain(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prompts", "explain", "p004"]) == 0
    assert "P004 answer in reach (error)" in capsys.readouterr().out
    assert main(["prompts", "explain", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 21
    assert main(["prompts", "explain", "P999"]) == 2
    assert "unknown lint rule" in capsys.readouterr().err
