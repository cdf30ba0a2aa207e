"""Formats: what a layout is, that its own format changes nothing, and that every other one says the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from prompts import PromptBuilder, library_names, load_template, parse_template
from prompts.damage import DAMAGES
from prompts.format_space import Format, layout_of
from tasks import IclError
from tasks.load import load_task
from tasks.types import Example, Query, Task

CHOICES = ("a stone", "rain")
VALUES = {
    "text": "a good film",
    "premise": "It rains.",
    "hypothesis": "It is wet.",
    "question": "What is wet?",
    "input": "rain",
    "passage": "p",
}
VALUES |= {"word": "bank", "sentence1": "the bank of a river", "sentence2": "the bank lends money"}


def task_for(template_name: str) -> Task:
    template = load_template(template_name)
    kind = next(k for k in ("multiple_choice", "generation", "classification") if k in template.kinds)
    labels = ("negative", "positive") if kind == "classification" else ()
    return Task(
        "t", kind, "What is it?", template.fields, labels, dict.fromkeys(labels, "") | {label: label for label in labels}, {},
        template_name, ("accuracy",), "CC0", "none", "none", "0",
    )  # fmt: skip


def written(builder: PromptBuilder, task: Task) -> list[str]:
    choices = CHOICES if task.kind == "multiple_choice" else ()
    target = {"classification": "positive", "multiple_choice": "B", "generation": "wet"}[task.kind]
    inputs = {name: VALUES[name] for name in task.fields}
    query = Query("q", inputs, choices or (CHOICES if task.kind == "generation" else ()))
    return [p.text for p in builder.prompts([Example("d", inputs, target, choices)], query, builder.verbalizer.candidates(query))]


@pytest.mark.parametrize("name", library_names())
def test_the_own_format_of_every_shipped_template_writes_the_same_prompts(name: str) -> None:
    template, task = load_template(name), task_for(name)
    layout = layout_of(template)
    own = layout.write(layout.own)
    assert written(PromptBuilder(own, task), task) == written(PromptBuilder(template, task), task)
    assert (own.answer, own.fields, own.kinds) == (template.answer, template.fields, template.kinds)


def test_a_format_is_written_as_it_says() -> None:
    layout, task = layout_of(load_template("classify-letters")), task_for("classify-letters")
    form = Format(casing="upper", mark=" : ", joiner=" | ", delimiter="\n", enumerator="({}) ")
    (text, _) = written(PromptBuilder(layout.write(form), task), task)
    assert text == (
        "TEXT : a good film | (A) negative | (B) positive | LABEL : B\nTEXT : a good film | (A) negative | (B) positive | LABEL : A"
    )
    assert form.in_words() == 'names upper, after names " : ", between fields " | ", between items "\\n", choices "({}) "'
    assert Format().in_words() == "as written"


def test_the_space_after_the_answers_name_belongs_to_the_answer() -> None:
    layout, task = layout_of(load_template("sentiment-plain")), task_for("sentiment-plain")
    for mark, ending in ((":\n", ":\npositive"), (":", ":positive"), (": ", ": positive")):
        builder = PromptBuilder(layout.write(Format(mark=mark)), task)
        query = Query("q", {"text": "x"})
        prompt = builder.prompts([], query, builder.verbalizer.candidates(query))[1]
        assert prompt.text.endswith(f"Sentiment{ending}")
        assert prompt.text[slice(*prompt.span)] == mark.removeprefix(":") + "positive"


def test_other_words_stand_in_instruction_demonstrations_and_candidates() -> None:
    layout, task = layout_of(load_template("sentiment-instruct")), task_for("sentiment-instruct")
    template = layout.write(layout.own, {"negative": "bad", "positive": "good"})
    first, second = written(PromptBuilder(template, task), task)
    assert "is bad or good." in first
    assert "Sentiment: good\n\n" in first
    assert (first[-4:], second[-5:]) == (" bad", " good")


def test_formats_are_distinct_keyed_and_prefixes_of_each_other() -> None:
    layout = layout_of(load_template("sentiment-plain"))
    many = layout.formats(40, seed=3)
    assert many[0] == layout.own
    assert len({layout.source(form) for form in many}) == 40
    assert layout.formats(5, seed=3) == many[:5]
    assert layout.formats(5, seed=4)[1:] != many[1:5]
    assert len({form.enumerator for form in many}) == 1, "a template without choices has no enumerators to vary"
    every = layout.formats(layout.count(), seed=0)
    assert all(form.delimiter.count("\n") > form.joiner.count("\n") for form in every)
    with pytest.raises(IclError, match=f"at most {layout.count()} formats"):
        layout.formats(layout.count() + 1, seed=0)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("{% block query %}{{ text }}:{% endblock %}{% block demonstration %}{{ query }} {{ answer }}{% endblock %}", "block of their own"),
        ("{% block query %}{% if text %}Text: {{ text }}{% endif %}\nLabel:{% endblock %}", "statements"),
        ("{% set a = 1 %}{% block query %}Text: {{ text }}\nLabel:{% endblock %}", "macros, settings"),
        ("{%- block query -%}Text: {{ text }}\nLabel:{% endblock %}", "another way"),
    ],
)
def test_what_has_no_layout_is_refused_with_the_reason(body: str, why: str) -> None:
    with pytest.raises(IclError, match=why):
        layout_of(parse_template(body, "mine"))


def test_what_is_odd_about_a_template_stays_in_its_own_format(own_task: Path) -> None:
    source = (
        '---\nanswer_prefix: "\\n"\n---\n{% block query %}\nOf it, say: {{ text }}\n{% endblock %}{% block separator %}##{% endblock %}'
    )
    template, task = parse_template(source, "odd"), load_task(str(own_task), None)
    layout = layout_of(template)
    items = list(task.splits["demonstration"][:2])
    query = items[1].query()
    for builder in (PromptBuilder(layout.write(layout.own), task),):
        before = PromptBuilder(template, task)
        candidates = before.verbalizer.candidates(query)
        assert builder.prompts(items[:1], query, candidates) == before.prompts(items[:1], query, candidates)


NAMELESS = {"boolq-chat", "math-chat", "nli-chat", "qa-chat"}
"""They ask in sentences and name no field, so a report says that they were left out."""


@pytest.mark.parametrize("name", library_names())
@pytest.mark.parametrize("damage", DAMAGES)
def test_every_shipped_template_can_be_damaged_before_a_whole_query(name: str, damage: str) -> None:
    template, task = load_template(name), task_for(name)
    if damage == "names garbled" and name in NAMELESS:
        with pytest.raises(IclError, match="has no named field whose letters can stand in another order"):
            DAMAGES[damage](template, 0)
        return
    damaged = DAMAGES[damage](template, 0)
    for text, other in zip(written(PromptBuilder(template, task), task), written(PromptBuilder(damaged, task), task), strict=True):
        query = text.rsplit(PromptBuilder(template, task).renderer.separator, 1)[1]
        assert other != text
        assert other.endswith(query)
        assert len(other) <= len(text)
