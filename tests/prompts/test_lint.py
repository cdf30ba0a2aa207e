"""Lint: every rule fires on a template that breaks it and is silent on one that does not; the documentation's table is the code's."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from icl.vocabulary import make_reader
from prompts import PromptBuilder, library_names, load_template
from prompts.build import check_fit
from prompts.chat import chat_renderer
from prompts.lint import RULES, Vocabulary, lint
from tasks.cardfile import load_card
from tasks.errors import IclError
from tasks.load import find_card, load_task
from tasks.load import library_names as task_names
from tasks.types import Task

PLAIN = "{% block query %}Text: {{ text }}\nSentiment:{% endblock %}"
BAD: dict[str, str] = {
    "P001": "{% block query %}{{ text",
    "P002": "---\nkinds: [generation]\n---\n" + PLAIN,
    "P003": "{% block query %}{{ text }} {{ txet }}{% endblock %}",
    "P004": "{% block query %}{{ text }} {{ answer }}{% endblock %}",
    "P005": "{% block query %}{{ choices | join }}{% endblock %}",
    "P006": "{% block query %}{{ text }} {% if 'good' in text or 'lovely' in text or 'fine' in text or 'great' in text %}positive"
    "{% else %}negative{% endif %}:{% endblock %}",
    "P007": "{% block query %}Text: {{ text }}\nSentiment: {% endblock %}",
    "P008": "---\nanswer_prefix: ''\n---\n{% block query %}Text: {{ text }}\nSentiment: {% endblock %}",
    "P009": "---\nlabel_words: {positive: good film, negative: good story}\n---\n" + PLAIN,
    "P010": "---\nlabel_words: {positive: positive, negative: not a positive film}\n---\n" + PLAIN,
    "P011": "---\nanswer_prefix: ''\n---\n{% block query %}Text: {{ text }}\nSentiment:\n{% endblock %}",
    "P012": "---\nlabel_words: {positive: good, negative: good for nothing}\n---\n" + PLAIN,
    "P013": "{% block instruction %}<s>{% endblock %}{% block separator %}{% endblock %}" + PLAIN,
    "P014": "{% block query %}<|im_start|>user {{ text }}{% endblock %}",
    "P015": PLAIN + "{% block separator %}\n{% endblock %}",
    "P016": PLAIN + "{% block demonstration %}{{ text }} is {{ answer }}{% endblock %}",
    "P017": "{% block query %}{{ text | first }}:{% endblock %}",
    "P018": "{% block instruction %}Is it positive?{% endblock %}" + PLAIN,
    "P021": "{% block query %}Text: {{ text }}\n\n\n\nSentiment:{% endblock %}",
}
OTHERWISE = {"P019", "P020"}
"""Rules that take more than a template to break; tested on their own."""


@pytest.fixture
def task(own_task: Path) -> Task:
    return load_task(own_task)


@pytest.fixture
def vocabulary(tiny_tokenizer: Any) -> Vocabulary:
    return make_reader(tiny_tokenizer, "tiny", 512).vocabulary


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def to_file(text: str) -> Path:
        file = tmp_path / "mine.jinja"
        file.write_text(text, encoding="utf-8")
        return file

    return to_file


def ids(report: Any) -> set[str]:
    return {finding.rule for finding in report.findings}


def test_every_rule_has_a_template_that_breaks_it() -> None:
    assert set(BAD) | OTHERWISE == set(RULES)


@pytest.mark.parametrize("rule", BAD)
def test_a_rule_fires_on_a_template_that_breaks_it(rule: str, task: Task, tiny_tokenizer: Any, write: Callable[[str], Path]) -> None:
    vocabulary = make_reader(with_bos(tiny_tokenizer) if rule == "P013" else tiny_tokenizer, "tiny", 512).vocabulary
    report = lint(write(BAD[rule]), task, 2, vocabulary=vocabulary)
    found = [finding for finding in report.findings if finding.rule == rule]
    assert found
    assert {finding.severity for finding in found} == {RULES[rule].severity}
    assert "\n" not in found[0].message
    assert report.errors == sum(finding.severity == "error" for finding in report.findings)


def test_a_good_template_has_no_findings(task: Task, vocabulary: Vocabulary, write: Callable[[str], Path]) -> None:
    report = lint(write(PLAIN), task, 2, vocabulary=vocabulary)
    assert ids(report) <= {"P010"}  # 'negative' has more tokens than 'positive' in a vocabulary of 400
    assert report.unchecked == ()
    assert lint(write(PLAIN), task, 2).unchecked == tuple(id for id, rule in RULES.items() if rule.needs_tokens)


def test_a_window_that_is_too_short_for_the_shots_asked(task: Task, vocabulary: Vocabulary, write: Callable[[str], Path]) -> None:
    file = write(PLAIN)
    short = replace(vocabulary, window=100)
    assert "P019" not in ids(lint(file, task, 0, vocabulary=short))
    assert "P019" in ids(lint(file, task, 8, vocabulary=short))
    assert "P019" not in ids(lint(file, task, 8, vocabulary=replace(vocabulary, window=None)))


def test_a_prompt_that_differs_when_it_is_rendered_again(task: Task, write: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    rendered: list[None] = []
    context = PromptBuilder.context

    def counting(self: PromptBuilder, *of: Any) -> str:
        rendered.append(None)
        return context(self, *of) + str(len(rendered))

    file = write(PLAIN)
    assert "P020" not in ids(lint(file, task, 1))
    monkeypatch.setattr(PromptBuilder, "context", counting)
    assert "P020" in ids(lint(file, task, 1))


def test_a_chat_prompt_without_the_beginning_token(task: Task, tiny_tokenizer: Any, write: Callable[[str], Path]) -> None:
    tokenizer = with_bos(tiny_tokenizer)
    tokenizer.chat_template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:"
    reader = make_reader(tokenizer, "tiny", 512)
    assert reader.vocabulary.adds_bos
    found = lint(write(PLAIN), task, 1, chat_renderer(tokenizer), reader.vocabulary).findings
    assert [finding.severity for finding in found if finding.rule == "P013"] == ["warning"]
    tokenizer.chat_template = "<s>" + tokenizer.chat_template
    assert "P013" not in ids(lint(write(PLAIN), task, 1, chat_renderer(tokenizer), reader.vocabulary))


def with_bos(tokenizer: Any) -> Any:
    """A copy whose convention is to begin a text with `<s>`."""
    from tokenizers import Tokenizer
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", tokenizer.bos_token_id)])
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>")


def test_choices_that_every_query_lists_give_nothing_away(task: Task, write: Callable[[str], Path]) -> None:
    listed = "{% block query %}{{ text }} ({{ choices | join(' or ') }}){% endblock %}"
    assert "P006" not in ids(lint(write(listed), task, 1))
    one = "{% block query %}{{ text }} Is it positive?{% endblock %}"
    assert "P006" not in ids(lint(write(one), task, 1))


def test_the_front_matter_suppresses_rules(task: Task, write: Callable[[str], Path]) -> None:
    noisy = "---\nlint_ignore: [P016]\n---\n" + BAD["P016"]
    report = lint(write(noisy), task, 1)
    assert report.errors == 0
    assert {finding.rule for finding in report.suppressed} == {"P016"}
    for ignored, message in [("P999", "unknown lint rule 'P999'"), ("P004", "must not name P004")]:
        with pytest.raises(IclError, match=message):
            lint(write(noisy.replace("[P016]", f"[{ignored}]")), task, 1)


def test_lint_says_the_same_twice(task: Task, vocabulary: Vocabulary, write: Callable[[str], Path]) -> None:
    file = write(BAD["P017"])
    assert lint(file, task, 2, vocabulary=vocabulary) == lint(file, task, 2, vocabulary=vocabulary)


def test_what_does_not_exist_is_no_finding(task: Task, tmp_path: Path) -> None:
    with pytest.raises(IclError, match="there is no"):
        lint(tmp_path / "none.jinja", task)
    with pytest.raises(IclError, match="--shots must be between"):
        lint("sentiment-plain", task, 100_000)


EMBEDDED = {name for name in task_names() if load_card(find_card(name)).source.type != "hub"}


@pytest.mark.parametrize("name", task_names())
def test_shipped_templates_have_no_errors_on_the_tasks_they_serve(name: str, request: pytest.FixtureRequest) -> None:
    """Embedded tasks always, those of the hub where there is a mirror of their data."""
    loaded = load_task(name, None if name in EMBEDDED else request.getfixturevalue("mirror"))
    served = [template for template in library_names() if serves(template, loaded)]
    assert loaded.default_template in served
    for template in served:
        report = lint(template, loaded)
        assert not report.errors, report.findings


def serves(template: str, task: Task) -> bool:
    try:
        check_fit(load_template(template), task)
    except IclError:
        return False
    return True


def test_the_documentation_lists_every_rule() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "templates.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (P\d{3}) \| (error|warning) \| ([^|]+) \| (|model) ?\|", text, re.MULTILINE)
    assert rows == [(id, rule.severity, rule.title, "model" if rule.needs_tokens else "") for id, rule in RULES.items()]
