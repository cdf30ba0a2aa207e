"""Files that a template includes: part of its sha256, read once, from its own directory only."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from prompts import PromptBuilder, load_template
from prompts.render import Renderer
from prompts.types import Template
from tasks.errors import IclError
from tasks.types import Query, Task

QUERY = Query("q1", {"text": "fine"}, ())


def write(directory: Path, **files: str) -> Path:
    """`name=text` → files `name.jinja`; returns the path of `mine.jinja`."""
    for name, text in files.items():
        (directory / f"{name}.jinja").write_text(text, encoding="utf-8")
    return directory / "mine.jinja"


def rendered(template: Template) -> str:
    return Renderer(template, task={"name": "t"}, labels=("good", "bad")).query(QUERY)


def test_include_and_import_work_and_their_fields_count(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        mine="{% import 'tools.jinja' as tools %}{% from 'tools.jinja' import low as quiet %}"
        "{% block query %}{{ tools.shout('a') }}{{ quiet('B') }} {% include 'part.jinja' %}{% endblock %}",
        tools="{% macro shout(x) %}{{ x | upper }}!{% endmacro %}{% macro low(x) %}{{ x | lower }}{% endmacro %}",
        part="[{{ text }}]",
    )
    template = load_template(file)
    assert template.fields == ("text",)
    assert rendered(template) == "A!b [fine]"


def test_the_sha256_is_of_the_file_and_of_all_that_it_includes(tmp_path: Path) -> None:
    plain = write(tmp_path, mine="{% block query %}{{ text }}{% endblock %}")
    assert load_template(plain).sha256 == hashlib.sha256(plain.read_bytes()).hexdigest()

    file = write(tmp_path, mine="{% block query %}{% include 'a.jinja' %}{% endblock %}", a="{% include 'b.jinja' %}", b="{{ text }}1")
    seen = {load_template(file).sha256}
    for change in ({"b": "{{ text }}2"}, {"a": "{% include 'b.jinja' %} "}, {"mine": file.read_text(encoding="utf-8") + " "}):
        write(tmp_path, **change)
        sha256 = load_template(file).sha256
        assert sha256 not in seen
        seen.add(sha256)
    write(tmp_path, unrelated="{{ text }}")
    assert load_template(file).sha256 in seen


def test_what_is_rendered_is_what_was_hashed(tmp_path: Path) -> None:
    file = write(tmp_path, mine="{% block query %}{% include 'a.jinja' %}{% endblock %}", a="{{ text }} before")
    template = load_template(file)
    write(tmp_path, a="{{ text }} after")
    assert rendered(template) == "fine before"
    (tmp_path / "a.jinja").unlink()
    assert rendered(template) == "fine before"


def test_a_missing_file_may_be_ignored_and_counts_as_soon_as_it_is_there(tmp_path: Path) -> None:
    file = write(tmp_path, mine="{% block query %}{{ text }}{% include 'a.jinja' ignore missing %}{% endblock %}")
    before = load_template(file)
    assert rendered(before) == "fine"
    write(tmp_path, a="!")
    after = load_template(file)
    assert rendered(before) == "fine"
    assert rendered(after) == "fine!"
    assert before.sha256 != after.sha256


def test_an_imported_counter_begins_anew_for_every_item(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        mine="{% import 'c.jinja' as c %}{% block query %}{{ text }}{{ c.count() }}{{ c.count() }}{% endblock %}",
        c="{% set ns = namespace(n=0) %}{% macro count() %}{% set ns.n = ns.n + 1 %}{{ ns.n }}{% endmacro %}",
    )
    made = Renderer(load_template(file), task={}, labels=())
    assert [made.query(QUERY), made.query(QUERY)] == ["fine12", "fine12"]


def test_fields_of_an_included_file_are_needed_of_the_task(tmp_path: Path) -> None:
    file = write(
        tmp_path, mine="{% block query %}{% for w in [1] %}{% include 'a.jinja' %}{% endfor %}{% endblock %}", a="{{ w }}{{ passage }}"
    )
    template = load_template(file)
    assert template.fields == ("passage",)
    task = Task(
        name="toy", kind="generation", description="", fields=("text",), labels=(), label_words={}, splits={}, default_template="",
        metrics=(), licence="", citation="", source="", fingerprint="",
    )  # fmt: skip
    with pytest.raises(IclError, match="needs the field passage"):
        PromptBuilder(template, task)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a": "{% include 'mine.jinja' %}"}, "an included file has no front matter|an included file has no blocks"),
        ({"a": "{% include 'b.jinja' %}", "b": "{% include 'a.jinja' %}"}, "must not go in a circle, but a.jinja → b.jinja → a.jinja does"),
        ({"a": "{% include 'a.jinja' %}"}, "must not go in a circle, but a.jinja → a.jinja does"),
        ({"a": "{% include 'none.jinja' %}"}, "a.jinja:1: 'none.jinja' is not a file in the template's own directory"),
        ({"a": "\n{% include text %}"}, "a.jinja:2: an inclusion must name one file in quotes"),
        ({"a": "{% include text ~ '.jinja' %}"}, "must name one file in quotes"),
        ({"a": "{% include ['a.jinja', 'b.jinja'] %}"}, "must name one file in quotes"),
        ({"a": "{% import text as t %}"}, "must name one file in quotes"),
        ({"a": "---\nname: x\n---\n{{ text }}"}, "a.jinja:1: an included file has no front matter"),
        ({"a": "{{ text }}\n{% block x %}{% endblock %}"}, "a.jinja:2: an included file has no blocks, but this has 'x'"),
        ({"a": "{{ answer }}"}, "block 'query' uses 'answer'"),
        ({"a": "{{ text | random }}"}, "a.jinja:1: the filter 'random' of Jinja is not part of the template language"),
        ({"a": "{% if %}"}, "a.jinja:1: "),
        ({"a": "always"}, "must use an input field"),
        ({f"{chr(97 + i)}": f"{{% include '{chr(98 + i)}.jinja' %}}" for i in range(25)}, "may be nested 20 deep"),
    ],
)
def test_what_an_inclusion_must_not_be(tmp_path: Path, files: dict[str, str], message: str) -> None:
    file = write(tmp_path, mine="{% block query %}{% include 'a.jinja' %}{% endblock %}", **files)
    with pytest.raises(IclError, match=message) as caught:
        load_template(file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../secret.jinja", "sub/../../secret.jinja", "link.jinja", "linked/secret.jinja", "sub", "", ".", "a" * 5000, "\\0"],
)
def test_nothing_outside_of_the_templates_directory_is_read(tmp_path: Path, name: str) -> None:
    own = tmp_path / "own"
    (own / "sub").mkdir(parents=True)
    (tmp_path / "secret.jinja").write_text("SECRET", encoding="utf-8")
    (own / "link.jinja").symlink_to(tmp_path / "secret.jinja")
    (own / "linked").symlink_to(tmp_path)
    file = write(own, mine="{% block query %}{{ text }}{% include '" + name + "' %}{% endblock %}")
    with pytest.raises(IclError, match="is not a file in the template's own directory"):
        load_template(file)


def test_directories_below_and_links_within_are_fine(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.jinja").write_text("{{ text }}", encoding="utf-8")
    (tmp_path / "link.jinja").symlink_to(tmp_path / "sub" / "a.jinja")
    file = write(tmp_path, mine="{% block query %}{% include 'sub/a.jinja' %}{% include 'link.jinja' %}{% endblock %}")
    assert rendered(load_template(file)) == "finefine"
