"""Templates on the command line: mistakes are one line and exit code 2, an edited inclusion makes another run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from icl.cli.main import main


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("sentiment-plane", "unknown template 'sentiment-plane': did you mean sentiment-plain"),
        ("qa-cloze", "template 'qa-cloze' serves multiple_choice, but task 'my-sentiment' is of kind classification"),
        ("boolq-plain", "needs the fields passage, question"),
    ],
)
def test_tasks_show_says_that_a_cards_template_does_not_serve(
    own_task: Path, capsys: pytest.CaptureFixture[str], template: str, message: str
) -> None:
    assert main(["tasks", "show", str(own_task)]) == 0
    capsys.readouterr()
    own_task.write_text(
        own_task.read_text(encoding="utf-8").replace("template: sentiment-plain", f"template: {template}"), encoding="utf-8"
    )
    assert main(["tasks", "show", str(own_task)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("icl: the card of task 'my-sentiment' names a template that does not serve it: ")
    assert message in printed.err
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{{ text }}{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "macros or loops call themselves without end"),
        ("{{ text }}{{ '{a}'.format() }}", "'format' of text is not part of the template language"),
        ("{{ text }}{{ 'x' * 1000000000 }}", "is not part of the template language"),
        ("{% if text is defined %}{{ labels[9] }}{% endif %}", "has no element 9"),
    ],
)
def test_a_template_that_fails_leaves_nothing_behind(
    own_task: Path, tiny_model_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], body: str, message: str
) -> None:
    file = tmp_path / "mine.jinja"
    file.write_text("{% block query %}" + body + "{% endblock %}", encoding="utf-8")
    out = tmp_path / "runs"
    command = [
        "evaluate",
        str(own_task),
        "--model",
        str(tiny_model_dir),
        "--template",
        str(file),
        "--shots",
        "1",
        "--queries",
        "3",
        "--out",
        str(out),
    ]
    assert main(command) == 2
    printed = capsys.readouterr()
    assert "icl: template 'mine', block 'query', item '" in printed.err
    assert message in printed.err
    assert not list(out.glob("*"))


def test_an_edited_inclusion_makes_another_run(
    own_task: Path, tiny_model_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    part = tmp_path / "part.jinja"
    part.write_text("Text: {{ text }}", encoding="utf-8")
    file = tmp_path / "mine.jinja"
    file.write_text("{% block query %}{% include 'part.jinja' %}\nSentiment:{% endblock %}", encoding="utf-8")
    command = ["evaluate", str(own_task), "--model", str(tiny_model_dir), "--template", str(file), "--shots", "1", "--episodes", "1"]
    command += ["--queries", "3", "--out", str(tmp_path / "runs"), "--json"]

    def run() -> str:
        assert main(command) == 0
        return str(json.loads(capsys.readouterr().out)["run"])

    first = run()
    assert run() == first
    part.write_text("Review: {{ text }}", encoding="utf-8")
    assert run() != first
