"""What a template may do: the same text every time, work in proportion to it, nothing but its own files, every mistake in one line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prompts import load_template, parse_template
from prompts.chat import DATE
from prompts.language import FILTERS, GLOBALS, JINJA_FILTERS, MAX_TEXT, METHODS, TESTS
from prompts.render import Renderer
from prompts.sandbox import BUDGET
from tasks.errors import IclError
from tasks.types import Query

QUERY = Query("q1", {"text": "fine"}, ())


def query(body: str) -> str:
    """The query side of a template with that body, for the text "fine"."""
    template = parse_template("{% block query %}{{ text }}|" + body + "{% endblock %}", "mine")
    return Renderer(template, task={"name": "t"}, labels=("good", "bad")).query(QUERY).removeprefix("fine|")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("{{ text ~ 1 ~ true ~ 2.5 }}", "fine1True2.5"),
        ("{{ 'a' + 'b' }}{{ ([1] + [2]) | join }}{{ 7 % 4 }}{{ 7 // 2 }}{{ 1 - 2 * 3 }}{{ 1 / 4 }}", "ab1233-50.25"),
        ("{{ labels | map('upper') | join(', ') }}", "GOOD, BAD"),
        ("{{ labels | map('replace', 'o', '0') | list | last }}", "bad"),
        ("{{ ', '.join(labels) }}{{ text.split('i')[1] }}{{ text[1:3] }}{{ text[-1] }}", "good, badneine"),
        (
            "{{ text.strip('fe') }}{{ text | trim('fe') }}{{ text.replace('f', 'w') }}{{ text | replace('', '-') }}",
            "inin" + "wine" + "-f-i-n-e-",
        ),
        ("{{ 'a\nb' | indent(2) }}{{ 'x' | indent(1, true) }}", "a\n  b x"),
        ("{{ {'q': 'don\\'t <b>', 'a': [1, none]} | tojson }}", '{"q": "don\'t <b>", "a": [1, null]}'),
        ("{% set x = '{\"a\": [1, null, \"é\"]}' | fromjson %}{{ x.a[0] + 1 }}{{ x['a'][2] }}{{ x.a[1] is none }}", "2éTrue"),
        ("{% for a, b in {'x': 1}.items() %}{{ a }}{{ b }}{% endfor %}", "x1"),
        ("{% for w in labels %}{{ loop.index }}{{ w }}{{ ', ' if not loop.last }}{% endfor %}", "1good, 2bad"),
        ("{% for w in labels %}{{ loop.index }}{{ w }}{{ '' if loop.last else ', ' }}{% endfor %}", "1good, 2bad"),
        ("{% for w in labels if w != 'bad' %}{{ loop.length }}{{ w }}{% endfor %}", "1good"),
        ("{% set c = cycler('a', 'b') %}{% set j = joiner('-') %}{% for i in range(3) %}{{ j() }}{{ c.next() }}{% endfor %}", "a-b-a"),
        ("{% set ns = namespace(n=0) %}{% for i in range(4) %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}", "6"),
        ("{% macro wrap() %}<{{ caller() }}>{% endmacro %}{% call wrap() %}{{ text }}{% endcall %}", "<fine>"),
        ("{% filter upper %}a{{ text }}{% endfilter %}{% set s | title %}a b{% endset %}{{ s }}", "AFINEA B"),
        ("{{ nothing | default('-') }}{{ nothing is defined }}{{ 'FINE' is upper }}{{ 'i' in text }}{{ 3 is odd }}", "-FalseTrueTrueTrue"),
        ("{{ [3, 1, 2] | sort | join }}{{ [1, 2, 3] | sum }}{{ 2.456 | round(1) }}{{ [1, 1] | unique | list | length }}", "12362.51"),
        ("{{ [1, 2, 3] | batch(2, 0) | map('join', '.') | join(' ') }}{{ [1, 2, 3] | slice(2) | map('length') | join }}", "1.2 3.021"),
        ("{% with x = 1 %}{{ x }}{% endwith %}{# not written #}{% raw %}{{ x }}{% endraw %}", "1{{ x }}"),
    ],
)
def test_what_a_prompt_needs_works(body: str, text: str) -> None:
    assert query(body) == text


RULES = [
    # not the same text every time
    ("{{ labels | random }}", "the filter 'random' of Jinja is not part of the template language"),
    ("{{ labels | map('random') | join }}", "No filter named 'random'"),
    ("{{ lipsum() }}", "'lipsum' is not part of the template language"),
    ("{{ text is sameas text }}", "the test 'sameas' of Jinja is not part"),
    ("{{ range }}", "only text and numbers can be written"),
    ("{{ text.upper }}", "only text and numbers can be written, but this is a part of the template itself"),
    ("{{ cycler(1) ~ text }}", "only text and numbers can be written"),
    ("{{ [cycler(1)] | join }}", "only text and numbers can be written"),
    ("{{ [cycler(1)] }}", "only text and numbers can be written, but this is a list; a list is written with | join"),
    ("{{ cycler(1) | upper }}", "only text and numbers can be written"),
    ("{{ [cycler(1)] | tojson }}", "not JSON serializable"),
    ("{% macro m() %}{% endmacro %}{{ m }}", "only text and numbers can be written"),
    ("{{ 'NaN' | fromjson }}", "fromjson reads finite numbers, but got NaN"),
    ("{{ '[1' | fromjson }}", "Expecting"),
    ("{{ ('[' ~ '1' ~ ']') | fromjson }}", "only text and numbers can be written, but this is a list"),
    ("{{ none }}", "only text and numbers can be written, but this is none"),
    # nothing but text
    ("{{ ''.__class__.__mro__ }}", "'__class__' of text is not part of the template language"),
    ("{{ text['__class__'] }}", "refused by the sandbox"),
    ("{{ text.__init__.__globals__ }}", "refused by the sandbox"),
    ("{{ range.__globals__ }}", "access to '__globals__' of a part of the template itself is outside the sandbox"),
    ("{{ text.upper.__self__ }}", "outside the sandbox"),
    ("{{ dict.mro() }}", "outside the sandbox"),
    ("{{ [text] | map(attribute='__class__') | list }}", "refused by the sandbox"),
    ("{{ text | attr('__class__') }}", "the filter 'attr' of Jinja is not part"),
    ("{{ self.query() }}", "'self' is not part of the template language"),
    ("{% autoescape true %}{{ text }}{% endautoescape %}", "a prompt is not HTML"),
    ("{{ text | safe }}", "the filter 'safe' of Jinja is not part"),
    ("{{ text.encode() }}", "'encode' of text is not part"),
    ("{{ labels.append('x') }}", "'append' of a list is not part"),
    # mistakes
    ("{{ nothing }}", "'nothing' is undefined; names that exist here: choices, labels, letters, task, text"),
    ("{{ task.nothing }}", "has no attribute 'nothing'"),
    ("{{ labels[5] }}", "has no element 5"),
    ("{{ '%d' % 'x' }}", "'%' on text and text is not part of the template language"),
    ("{{ '{:d}'.format('x') }}", "'format' of text is not part"),
    ("{{ '{a}'.format() }}", "'format' of text is not part"),
    ("{{ text + 1 }}", "'~' joins texts and numbers"),
    ("{{ 1 / 0 }}", "division by zero"),
    ("{{ {[1]: 2} }}", "unhashable type"),
    ("{{ 'a' < 1 }}", "not supported between instances"),
    ("{{ 'a' | truncate(1) }}", "expected length >= 3"),
    ("{{ cycler() }}", "at least one item"),
    ("{{ text.split('') }}", "empty separator"),
    ("{{ text() }}", "not callable"),
    ("{% for a, b in ['xyz'] %}{% endfor %}", "too many values to unpack"),
    ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "macros or loops call themselves without end"),
    ("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}", "macros or loops call themselves without end"),
    ("{% for i in range(1000000) %}x{% endfor %}", "Range too big"),
]


@pytest.mark.parametrize(("body", "message"), RULES)
def test_what_a_template_must_not_do_is_one_clear_line(body: str, message: str) -> None:
    with pytest.raises(IclError) as caught:
        query(body)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(("template 'mine', block 'query', item 'q1': ", "mine:1: "))


GROW = "{% set ns = namespace(x='x', l=[1], m=[1], n=3) %}{% for i in range(60) %}"
LOOP, END = "{% for i in range(100000) %}", "{% endfor %}"
BOMBS = [
    *(
        "{{ '%0300000000d' % 1 }}",
        "{{ '{:300000000}'.format(1) }}",
        "{{ 'x' | format(1) }}",
        "{{ 'x' * 1000000000 }}",
        "{{ [1] * 1000000000 }}",
    ),
    *(f"{{{{ 'x'.{name}(1000000000) }}}}" for name in ("ljust", "rjust", "center", "zfill", "expandtabs")),
    *(
        "{{ 'x' | center(1000000000) }}",
        "{{ 'a\nb' | indent(100000000) }}",
        "{{ 'a\nb' | wordwrap(1) }}",
        "{{ (1).to_bytes(1000000000, 'big') }}",
    ),
    *("{{ 10 ** 100000000 }}", "{{ 1 | round(1000000000, 'ceil') }}", "{{ 1 << 1000000000 }}", "{{ 'x'.translate({120: 'xx'}) }}"),
    *("{{ [1] | batch(1000000000, 'x') | list }}", "{{ [1] | slice(1000000000) | list }}", "{{ [[1], [2]] | sum(start=[]) }}"),
    GROW + "{% set ns.x = ns.x ~ ns.x %}" + END,
    GROW + "{% set ns.x = ns.x + ns.x %}" + END,
    GROW + "{% set ns.x = ns.x.replace('x', 'xxxxxxxxxxxxxxxxxxxx') %}" + END,
    GROW + "{% set ns.x = ns.x | replace('x', ns.x ~ 'x') %}" + END,
    GROW + "{% set ns.x = [ns.x, ns.x] | join(ns.x) %}" + END,
    GROW + "{% set ns.x = ns.x.join([ns.x, ns.x]) %}" + END,
    GROW + "{% set ns.x %}{{ ns.x }}{{ ns.x }}{% endset %}" + END,
    GROW + "{% set ns.l = ns.l + ns.l %}" + END,
    GROW + "{% set ns.l = [ns.l, ns.l] %}{% set ns.m = [ns.m, ns.m] %}" + END + "{{ ns.l == ns.m }}",
    GROW + "{% set ns.l = {'a': ns.l, 'b': ns.l} %}" + END,
    GROW + "{% set ns.n = ns.n * ns.n %}" + END,
    GROW.replace("60", "100000") + "{% set ns.l = [ns.l] %}" + END,
    GROW.replace("60", "100000") + "{% set ns.l = ns.l + [text] %}" + END,
    GROW.replace("60", "100000") + "{% set ns.x = ns.x ~ 'x' %}" + END,
    LOOP + LOOP + LOOP + END + END + END,
    LOOP + LOOP + "{% set a = 1 %}" + END + END,
    LOOP + "{{ range(100000) | list | length }}" + END,
    LOOP + "x" * 50_000 + END,
    "{% macro m() %}" + LOOP + "x" * 50_000 + END + "{% endmacro %}{{ m() }}",
    "{% set y %}" + LOOP + "x" * 50_000 + END + "{% endset %}",
    "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
    "{% set big = range(100000) | list %}{{ big | select('in', big) | list | length }}",
    "{% set big = range(20000) | join %}{{ range(100000) | map('replace', '', big) | list | length }}",
    "{{ text.strip(range(100000) | join) }}",
]
LIMITED = """
import json, pathlib, resource, sys, time
from prompts import parse_template
from prompts.render import Renderer
from prompts.sandbox import BUDGET
from tasks.errors import IclError
from tasks.types import Query
resource.setrlimit(resource.RLIMIT_AS, (1_000_000_000, 1_000_000_000))
for body in json.load(sys.stdin):
    start, said = time.process_time(), "rendered"
    try:
        template = parse_template("{% block query %}{{ text }}" + body + "{% endblock %}", "mine")
        Renderer(template, task={}, labels=()).query(Query("q1", {"text": "fine"}))
    except IclError as error:
        said = str(error)
    # Not ru_maxrss: that begins with the memory of the process that started this one.
    status = pathlib.Path("/proc/self/status").read_text()
    peak = int(status.partition("VmHWM:")[2].split()[0]) // 1024
    print(json.dumps([body[:80], said, time.process_time() - start, peak]))
"""


def test_a_template_cannot_exhaust_memory_or_time() -> None:
    done = subprocess.run([sys.executable, "-c", LIMITED], input=json.dumps(BOMBS), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(results) == len(BOMBS)
    for body, said, seconds, peak in results:
        assert said != "rendered", body
        assert "memory" not in said, body  # refused by a rule, not by the machine
        assert seconds < 5, body
        assert peak < 400, body


def test_a_long_text_is_no_bomb() -> None:
    long = "long " * 190_000
    template = parse_template("{% block query %}{{ text | trim }}\n{% endblock %}", "mine")
    assert len(Renderer(template, task={}, labels=()).query(Query("q", {"text": long}))) == len(long)


def test_more_than_a_million_characters_are_no_prompt() -> None:
    with pytest.raises(IclError, match="more than 1000000 characters were rendered"):
        query("{% for i in range(100) %}" + "x" * 50_000 + "{% endfor %}")


NAMES = st.sampled_from(
    ["text", "choices", "labels", "letters", "task", "range", "dict", "cycler", "joiner", "namespace", "loop", "m", "v", "no"]
)
CONSTANTS = st.sampled_from(
    ["''", "'x'", "'%s'", "'{0.__class__}'", "0", "1", "-1", "2.5", "10**9", "99999", "true", "none", "[]", "{}", "()", "'../a'"]
)
ATTRIBUTES = st.sampled_from(
    [
        *(
            "__class__",
            "__mro__",
            "__globals__",
            "__subclasses__",
            "__init__",
            "_module",
            "upper",
            "format",
            "format_map",
            "join",
            "replace",
        ),
        *("split", "center", "items", "get", "index", "first", "last", "nextitem", "cycle", "next", "name", "mro", "gi_frame", "func", "x"),
        *("append", "strip"),
    ]
)
OPERATORS = st.sampled_from(["+", "-", "*", "/", "//", "%", "**", "~", "==", "<", "in", "not in", "and", "or"])
FILTER_NAMES = st.sampled_from([*FILTERS, "random", "center", "attr", "format", "pprint", "safe", "xmlattr", "groupby", "nofilter"])
TEST_NAMES = st.sampled_from([*(name for name in TESTS if name.isalpha()), "sameas", "callable"])


def larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("{}.{}".format, inner, ATTRIBUTES),
        st.builds("({})['{}']".format, inner, ATTRIBUTES),
        st.builds("({})[{}:{}]".format, inner, inner, inner),
        st.builds("({} {} {})".format, inner, OPERATORS, inner),
        st.builds("({})({})".format, inner, inner),
        st.builds("({})({}, {})".format, inner, inner, inner),
        st.builds("({} | {})".format, inner, FILTER_NAMES),
        st.builds("({} | {}({}))".format, inner, FILTER_NAMES, inner),
        st.builds("({} | map('{}') | list)".format, inner, FILTER_NAMES),
        st.builds("({} | map(attribute='{}') | list)".format, inner, ATTRIBUTES),
        st.builds("({} is {})".format, inner, TEST_NAMES),
        st.builds("({} if {} else {})".format, inner, inner, inner),
        st.builds("[{}, {}]".format, inner, inner),
        st.builds("{{{}: {}}}".format, inner, inner),
    )


EXPRESSIONS = st.recursive(st.one_of(NAMES, CONSTANTS), larger, max_leaves=8)
FILES = st.sampled_from(
    ["good.jinja", "deep/good.jinja", "none.jinja", "/etc/passwd", "../secret.jinja", "link.jinja", "linked/secret.jinja", "mine.jinja"]
)


def statements(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("{}{}".format, inner, inner),
        st.builds("{{% for v in {} %}}{}{{% endfor %}}".format, EXPRESSIONS, inner),
        st.builds("{{% for v in {} recursive %}}{}{{{{ loop({}) }}}}{{% endfor %}}".format, EXPRESSIONS, inner, EXPRESSIONS),
        st.builds("{{% if {} %}}{}{{% endif %}}".format, EXPRESSIONS, inner),
        st.builds("{{% set v = {} %}}{}".format, EXPRESSIONS, inner),
        st.builds("{{% set v %}}{}{{% endset %}}{{{{ v }}}}".format, inner),
        st.builds("{{% macro m(a={}) %}}{}{{% endmacro %}}{{{{ m({}) }}}}".format, EXPRESSIONS, inner, EXPRESSIONS),
        st.builds("{{% filter {} %}}{}{{% endfilter %}}".format, FILTER_NAMES, inner),
        st.builds("{{% call {}({}) %}}{}{{% endcall %}}".format, NAMES, EXPRESSIONS, inner),
    )


ENDS = st.one_of(
    st.builds("{{{{ {} }}}}".format, EXPRESSIONS),
    st.builds("{{% include '{}' %}}".format, FILES),
    st.builds("{{% include {} %}}".format, EXPRESSIONS),
    st.builds("{{% import '{}' as v %}}{{{{ v.x }}}}".format, FILES),
    st.text("{}%ab'|.\\ \n", max_size=8),
)
BODIES = st.recursive(ENDS, statements, max_leaves=5)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A template's directory beside a file that it must never show."""
    above = tmp_path_factory.mktemp("above")
    own = above / "own"
    (own / "deep").mkdir(parents=True)
    (above / "secret.jinja").write_text("SECRET", encoding="utf-8")
    (own / "good.jinja").write_text("[{{ text }}]", encoding="utf-8")
    (own / "deep" / "good.jinja").write_text("{% set x = 1 %}{% macro m(a) %}{{ a }}{% endmacro %}", encoding="utf-8")
    (own / "link.jinja").symlink_to(above / "secret.jinja")
    (own / "linked").symlink_to(above)
    return own / "mine.jinja"


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(body=BODIES)
def test_no_template_whatsoever_gives_a_traceback_or_another_text_or_a_strangers_file(place: Path, body: str) -> None:
    place.write_text("{% block query %}{{ text }}" + body + "{% endblock %}", encoding="utf-8")
    start = time.process_time()
    said = {outcome(place) for _ in range(2)}
    assert len(said) == 1
    assert not re.search(r"SECRET|root:|0x[0-9a-f]{6,}", said.pop())
    assert time.process_time() - start < 10


def outcome(place: Path) -> str:
    """The text of two renderings, which must be the same, or the one line of the error."""
    try:
        made = Renderer(load_template(place), task={"name": "t"}, labels=("good", "bad"))
        texts = [made.query(QUERY), made.query(QUERY)]
        assert texts[0] == texts[1]
        return texts[0]
    except IclError as error:
        line = str(error)
    assert "\n" not in line
    assert len(line) < 1000
    return line


def test_the_documentation_lists_the_whole_language() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "templates.md").read_text(encoding="utf-8")
    sections = text.split("- **")[1:]
    listed = {title: set(re.findall(r"[a-z]+", rest.split(".")[0])) for title, rest in (section.split("**", 1) for section in sections)}
    assert set(FILTERS) <= listed["Filters"]
    assert {name for name in TESTS if name.isalpha()} <= listed["Tests"]
    assert set(GLOBALS) == listed["Functions"]
    assert set().union(*METHODS.values()) <= listed["Methods of texts"]
    assert not (set(JINJA_FILTERS) - set(FILTERS)) & listed["Filters"]
    for bound in (BUDGET, MAX_TEXT):
        assert f"{bound:,}" in text
    assert DATE.strftime("%d %B %Y") in text
