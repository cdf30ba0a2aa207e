"""Template files: front matter, blocks, strictness, the sandbox, white space."""

from __future__ import annotations

from pathlib import Path

import pytest

from prompts import library_names, load_template, parse_template
from prompts.template import Renderer
from tasks.errors import IclError
from tasks.types import Example, Query

QUERY = Query("q1", {"text": "fine"}, ())


def renderer(source: str, **task: str) -> Renderer:
    return Renderer(parse_template(source, "mine"), task=task, labels=("good", "bad"))


def test_front_matter_and_defaults() -> None:
    template = parse_template("---\nkinds: [generation]\nanswer: text\n---\n{% block query %}{{ a }} {{ b }}{% endblock %}", "mine")
    assert (template.name, template.kinds, template.answer, template.fields) == ("mine", ("generation",), "text", ("a", "b"))
    assert template.answer_prefix == " "


def test_white_space_is_left_alone() -> None:
    source = "{% block query %}  {{ text }}\n\n {% endblock %}\n\n{% block separator %}\n--\n{% endblock %}"
    made = renderer(source)
    assert made.query(QUERY) == "  fine\n\n "
    assert made.separator == "\n--\n"


def test_demonstration_is_query_prefix_and_answer_unless_the_template_says_otherwise() -> None:
    example = Example("e", {"text": "fine"}, "good")
    assert renderer("{% block query %}T: {{ text }}\nS:{% endblock %}").demonstration(example, "good") == "T: fine\nS: good"
    own = "{% block query %}T: {{ text }}{% endblock %}{% block demonstration %}<{{ query }}={{ answer }}>{% endblock %}"
    assert renderer(own).demonstration(example, "good") == "<T: fine=good>"


def test_macros_inclusion_and_labels_work(tmp_path: Path) -> None:
    (tmp_path / "part.jinja").write_text("[{{ text }}]", encoding="utf-8")
    source = (
        "{% macro shout(x) %}{{ x | upper }}!{% endmacro %}{% block instruction %}{{ labels | join('/') }} {{ task.name }}{% endblock %}"
        "{% block query %}{{ shout(text) }} {% include 'part.jinja' %}{% endblock %}"
    )
    file = tmp_path / "mine.jinja"
    file.write_text(source, encoding="utf-8")
    made = Renderer(load_template(file), task={"name": "t"}, labels=("good", "bad"))
    assert made.instruction == "good/bad t"
    assert made.query(QUERY) == "FINE! [fine]"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "{% block query %}{{ nothing }}{% endblock %}",
            "'nothing' is undefined; names that exist here: choices, labels, letters, task, text",
        ),
        ("{% block query %}{{ ''.__class__.__mro__ }}{% endblock %}", "refused by the sandbox"),
        ("{% block query %}{{ text.__init__.__globals__ }}{% endblock %}", "refused by the sandbox"),
        ("{% block query %}{% include '/etc/passwd' %}{% endblock %}", "not a file in the template's own directory"),
        ("{% block query %}{% include '../x.jinja' %}{% endblock %}", "not a file in the template's own directory"),
        ("{% block query %}{{ text * 1000000000 }}{% endblock %}", "refused by the sandbox"),
        ("{% block query %}{% for i in range(1000000) %}x{% endfor %}{% endblock %}", "Range too big"),
        (
            "{% block query %}{% for i in range(99999) %}{{ 'x' ~ text ~ text ~ text }}{% endfor %}{% endblock %}",
            "more than 1000000 characters",
        ),
        ("{% block query %}{{ 1 / 0 }}{% endblock %}", "division by zero"),
    ],
)
def test_what_goes_wrong_while_rendering_is_one_clear_error(source: str, message: str) -> None:
    with pytest.raises(IclError, match="template 'mine', block 'query', item 'q1': ") as caught:
        renderer(source).query(QUERY)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{% block qery %}{% endblock %}", "mine:1: unknown block 'qery': did you mean query?"),
        ("stray{% block query %}{% endblock %}", "mine:1: text must stand inside a block"),
        ("---\nkinds: [x]\n---\n{% block query %}{% endblock %}", "front matter, key 'kinds.0'"),
        ("---\nkindz: []\n---\n{% block query %}{% endblock %}", "front matter, key 'kindz'"),
        ("---\na: [\n---\n{% block query %}{% endblock %}", "mine:3: the front matter is not valid YAML"),
        ("---\nname: x\n", "never closed"),
        ("{% block instruction %}{% endblock %}", "needs a block 'query'"),
        ("---\nname: x\n---\n\n{% block query %}{% if %}{% endblock %}", "mine:5: "),
        ("{% block query %}{{ text | nofilter }}{% endblock %}", "No filter named 'nofilter'"),
        ("{% block query %}{{ answer }}{% endblock %}", "'answer', which exists in 'demonstration' only"),
        ("{% extends 'x' %}{% block query %}{% endblock %}", "'extends' is not supported"),
    ],
)
def test_what_is_wrong_in_the_file_is_said_with_its_place(source: str, message: str) -> None:
    with pytest.raises(IclError) as caught:
        parse_template(source, "mine")
    assert message in str(caught.value)


def test_unknown_templates_suggest_the_nearest_name() -> None:
    with pytest.raises(IclError, match="did you mean sentiment-plain"):
        load_template("sentiment-plane")
    with pytest.raises(IclError, match="must be a file that exists"):
        load_template("nowhere/mine.jinja")


@pytest.mark.parametrize("name", library_names())
def test_every_shipped_template_loads_and_states_what_it_needs(name: str) -> None:
    template = load_template(name)
    assert template.description
    assert template.fields
    assert template.kinds
