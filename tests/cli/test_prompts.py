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


def test_preview_prints_the_text_with_its_span(
    mine: Path, own_task: Path, tiny_model_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["prompts", "preview", str(mine), "--task", str(own_task), "--shots", "2"]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "    1 │ Text: a " in printed
    assert "    2 │ Sentiment: " in printed
    assert "query │ Sentiment:⟦ " in printed
    assert "--model counts the tokens" in printed
    assert main([*command, "--model", str(tiny_model_dir), "--tokens"]) == 0
    printed = capsys.readouterr().out
    assert "% of the window of 512" in printed
    assert "tokens: " in printed
    assert main([*command, "--model", str(tiny_model_dir), "--tokens", "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["n_tokens"] == len(value["tokens"])
    assert value["text"] == "".join(segment["text"] for segment in value["segments"])


def test_preview_writes_a_page(mine: Path, own_task: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.html"
    assert main(["prompts", "preview", str(mine), "--task", str(own_task), "--html", str(page)]) == 0
    assert capsys.readouterr().out == f"written to {page}\n"
    assert "<mark" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tokens"], "--tokens needs a tokenizer"),
        (["--watch", "--json"], "--json exactly one value"),
        (["--query", "nothing"], "unknown query 'nothing'"),
        (["--html", "/nowhere/page.html"], "/nowhere"),
    ],
)
def test_preview_mistakes(mine: Path, own_task: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    assert main(["prompts", "preview", str(mine), "--task", str(own_task), *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err


def test_watch_prints_again_when_the_template_or_an_inclusion_is_saved(
    mine: Path, own_task: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three saves, one of them broken: a mistake is said and the watch goes on; Ctrl-C is its ordinary end."""
    part = mine.parent / "part.jinja"
    saves = [
        lambda: None,
        lambda: mine.write_text(QUERY.replace("Text", "Review"), encoding="utf-8"),
        lambda: mine.write_text("{% block query %}{{ text", encoding="utf-8"),
        lambda: part.write_text("first", encoding="utf-8"),
        lambda: mine.write_text("{% block query %}{% include 'part.jinja' %} {{ text }}{% endblock %}", encoding="utf-8"),
        lambda: part.write_text("second", encoding="utf-8"),
    ]

    def next_save(seconds: float) -> None:
        if not saves:
            raise KeyboardInterrupt
        saves.pop(0)()

    monkeypatch.setattr("icl.cli.prompts_preview.wait", next_save)
    assert main(["prompts", "preview", str(mine), "--task", str(own_task), "--watch"]) == 0
    printed = capsys.readouterr()
    order = [printed.out.index(text) for text in ("query │ Text: ", "query │ Review: ", "query │ first ", "query │ second ")]
    assert order == sorted(order)
    assert "mine.jinja:1:" in printed.err
    assert printed.out.count("candidate positive") == 4


def test_new_writes_a_starter_that_previews_and_passes_lint(
    own_task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["prompts", "new", "first", "--task", str(own_task)]) == 0
    assert "icl prompts preview first.jinja" in capsys.readouterr().out
    assert main(["prompts", "lint", "first.jinja", "--task", str(own_task)]) == 0
    assert main(["prompts", "preview", "first.jinja", "--task", str(own_task)]) == 0
    assert "Answer with one of: negative, positive." in capsys.readouterr().out
    before = (tmp_path / "first.jinja").read_text(encoding="utf-8")
    assert main(["prompts", "new", "first.jinja", "--task", "plural"]) == 2
    assert "first.jinja must be a new file, but it exists" in capsys.readouterr().err
    assert (tmp_path / "first.jinja").read_text(encoding="utf-8") == before
    assert main(["prompts", "new", "no/such/place", "--task", str(own_task)]) == 2
    assert main(["prompts", "new", "other", "--task", "plurals"]) == 2
    assert not (tmp_path / "other.jinja").exists()


def test_diff_shows_the_same_items_side_by_side(own_task: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["prompts", "diff", "sentiment-plain", "classify-plain", "--task", str(own_task)]
    assert main(command) == 0
    printed = capsys.readouterr().out
    (query,) = [line for line in printed.splitlines() if "⟦" in line]
    assert "Sentiment:⟦" in query
    assert "Label:⟦" in query
    assert "≠" in query
    assert "≠" not in next(line for line in printed.splitlines() if "Text: " in line)
    assert main([*command, "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["same"] is False
    assert value["a"]["demonstrations"] == value["b"]["demonstrations"]
    assert value["a"]["text"].replace("Sentiment:", "Label:") == value["b"]["text"]
    assert main(["prompts", "diff", "sentiment-plain", "sentiment-plain", "--task", str(own_task)]) == 0
    assert "the two prompts are the same" in capsys.readouterr().out
