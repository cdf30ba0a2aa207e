"""Template files: front matter, blocks, strictness, the sandbox, white space."""

from __future__ import annotations

from pathlib import Path

import pytest

from prompts import library_names, load_template, parse_template
from prompts.render import Renderer
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


def test_macros_settings_and_labels_work() -> None:
    source = (
        "{% macro shout(x) %}{{ x | upper }}!{% endmacro %}{% set short = text | truncate(3, true, '', 0) %}"
        "{% block instruction %}{{ labels | join('/') }} {{ task.name }}{% endblock %}"
        "{% block query %}{{ shout(text) }} {{ short }}{% endblock %}"
    )
    made = renderer(source, name="t")
    assert made.instruction == "good/bad t"  # the setting needs an item, but the instruction does not need the setting
    assert made.query(QUERY) == "FINE! fin"


def test_settings_that_count_are_kept_together() -> None:
    counter = (
        "{% set ns = namespace(n=0) %}{% macro up() %}{% set ns.n = ns.n + 1 %}{% endmacro %}{% set _ = up() %}{% set ns.n = ns.n + 10 %}"
    )
    made = renderer(counter + "{% block query %}{{ text }}{{ ns.n }}{% endblock %}")
    assert [made.query(QUERY), made.query(QUERY)] == ["fine11", "fine11"]


def test_a_macro_for_the_demonstration_may_use_the_answer() -> None:
    source = "{% macro shown() %}{{ query }} => {{ answer }}{% endmacro %}{% block query %}{{ text }}{% endblock %}{% block demonstration %}{{ shown() }}{% endblock %}"
    assert renderer(source).demonstration(Example("e", {"text": "fine"}, "good"), "good") == "fine => good"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{% block qery %}{% endblock %}", "mine:1: unknown block 'qery': did you mean query?"),
        (
            "stray{% block query %}{{ a }}{% endblock %}",
            "mine:1: only macros, imports and 'set' stand outside; text must stand inside a block",
        ),
        ("{% if a %}{% block query %}{{ a }}{% endblock %}{% endif %}", "mine:1: only macros, imports and 'set' stand outside"),
        ("{% block query %}{{ a }}{% endblock %}\n{% block query %}{{ b }}{% endblock %}", "mine:2: block 'query' stands twice"),
        (
            "{% block query %}{{ a }}\n{% block separator %}{% endblock %}{% endblock %}",
            "mine:2: block 'separator' must not stand inside block 'query'",
        ),
        ("---\nkinds: [x]\n---\n{% block query %}{{ a }}{% endblock %}", "front matter, key 'kinds.0'"),
        ("---\nkinds: []\n---\n{% block query %}{{ a }}{% endblock %}", "front matter, key 'kinds'"),
        ("---\nkindz: []\n---\n{% block query %}{{ a }}{% endblock %}", "front matter, key 'kindz'"),
        ("---\na: [\n---\n{% block query %}{{ a }}{% endblock %}", "mine:3: the front matter is not valid YAML"),
        ("---\nname: x\nname: y\n---\n", "mine:3: the front matter has the key 'name' twice"),
        ("---\nlabel_words: {a: b, a: c}\n---\n", "mine:2: the front matter has the key 'a' twice"),
        ("---\nlabel_words: {no: bad}\n---\n", "key 'label_words.0': must be text, but YAML reads an unquoted yes/no"),
        ("---\nname: &n x\ndescription: *n\n---\n", "mine:3: the front matter has keys, words and lists of words only"),
        ("---\nname: " + "[" * 5000 + "\n---\n", "mine:2: the front matter has keys, words and lists of words only"),
        ("---\nname: 2024-13-45\n---\n", "the front matter has a value that cannot be read"),
        ("---\nname: x\n", "never closed"),
        ("{% block instruction %}{% endblock %}", "needs a block 'query'"),
        ("---\nname: x\n---\n\n{% block query %}{% if %}{% endblock %}", "mine:5: "),
        ("{% block query %}{{ text | nofilter }}{% endblock %}", "unknown filter 'nofilter'"),
        ("{% block query %}{{ text is notest }}{% endblock %}", "unknown test 'notest'"),
        ("{% block query %}{{ answer }}{% endblock %}", "'answer', which exists in 'demonstration' only"),
        (
            "{% macro m() %}{{ answer }}{% endmacro %}{% block query %}{{ m() }}{% endblock %}",
            "'answer', which exists in 'demonstration' only",
        ),
        ("{% extends 'x' %}{% block query %}{{ a }}{% endblock %}", "'extends' is not supported"),
        (
            "{% block query %}{{ a }}{% for i in [1] %}" + "{% for i in [1] %}" * 30 + "{% endfor %}" * 31 + "{% endblock %}",
            "too many statically nested blocks",
        ),
        ("{% block query %}{{ a + " + "(" * 2000 + "1" + ")" * 2000 + " }}{% endblock %}", "nested too deeply"),
        ("{% block query %}{{ a }}{{ " + "9" * 5000 + " }}{% endblock %}", "not a valid template: Exceeds the limit"),
        ("{% macro m(a, a) %}{% endmacro %}{% block query %}{{ m(text) }}{% endblock %}", "duplicate argument"),
    ],
)
def test_what_is_wrong_in_the_file_is_said_with_its_place(source: str, message: str) -> None:
    with pytest.raises(IclError) as caught:
        parse_template(source, "mine")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


SAME = "block 'query' must use an input field"


@pytest.mark.parametrize(
    "source",
    [
        "{% block query %}Label:{% endblock %}",
        "{% block query %}{{ task.name }} {{ labels | join }} {{ letters | join }}:{% endblock %}",
        "{% macro unused() %}{{ text }}{% endmacro %}{% block query %}Label:{% endblock %}",
        "{% set text = 'always' %}{% block query %}{{ text }}{% endblock %}",
        "{% block query %}{% for text in range(3) %}{{ text }}{% endfor %}{% endblock %}",
        "{% block query %}Label:{% endblock %}{% block demonstration %}{{ text }}{{ query }}{{ answer }}{% endblock %}",
    ],
)
def test_a_query_side_that_is_the_same_for_every_item_is_refused(source: str) -> None:
    with pytest.raises(IclError, match=SAME):
        parse_template(source, "mine")


@pytest.mark.parametrize(
    "source",
    [
        "{% macro used() %}{{ text }}{% endmacro %}{% block query %}{{ used() }}{% endblock %}",
        "{% macro inner() %}{{ text }}{% endmacro %}{% set whole = inner() %}{% block query %}{{ whole }}{% endblock %}",
        "{% block query %}{% for choice in choices %}{{ choice }}{% endfor %}{% endblock %}",
        "{% block query %}{% if text is defined %}{{ text }}{% endif %}{% endblock %}",
    ],
)
def test_fields_may_be_used_through_macros_and_settings(source: str) -> None:
    assert parse_template(source, "mine").fields == (() if "choices" in source else ("text",))


def test_unknown_templates_suggest_the_nearest_name() -> None:
    with pytest.raises(IclError, match="did you mean sentiment-plain"):
        load_template("sentiment-plane")
    with pytest.raises(IclError, match="must be a file that exists"):
        load_template("nowhere/mine.jinja")
    with pytest.raises(IclError, match="cannot be read"):
        load_template("a" * 5000 + ".jinja")


def test_files_that_are_no_text_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.jinja"
    for data, message in [(b"\xff", "must be UTF-8"), (b"\xef\xbb\xbfx", "byte order mark"), (b"x" * 100_001, "100000 bytes")]:
        file.write_bytes(data)
        with pytest.raises(IclError, match=message):
            load_template(file)


@pytest.mark.parametrize("name", library_names())
def test_every_shipped_template_loads_and_states_what_it_needs(name: str) -> None:
    template = load_template(name)
    assert template.description
    assert template.fields
    assert template.kinds
