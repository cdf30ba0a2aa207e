"""Chat templates: system turns, refusals, and the same text on every day."""

from __future__ import annotations

import copy
from datetime import datetime
from typing import Any

import pytest

from prompts.chat import DATE, chat_renderer
from tasks.errors import IclError

MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2 + 2?"}]
TURNS = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"


def with_template(tokenizer: Any, source: Any) -> Any:
    changed = copy.copy(tokenizer)
    changed.chat_template = source
    return changed


def on(monkeypatch: pytest.MonkeyPatch, day: datetime) -> None:
    """Sets the clock that transformers gives to chat templates."""
    from transformers.utils import chat_template_utils

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return day

    monkeypatch.setattr(chat_template_utils, "datetime", Clock)


DAYS = (datetime(2026, 1, 2, 3, 4, 5), datetime(2027, 11, 12, 13, 14, 15))
DATED = [
    "Today is {{ strftime_now('%d %b %Y') }}.",
    "{% if strftime_now is defined %}{% set day = strftime_now('%Y-%m-%d') %}{% else %}{% set day = 'never' %}{% endif %}{{ day }}",
    "{% macro head() %}{{ strftime_now('%A %-d %B %y, %H:%M:%S, day %j, 100 %%') }}{% endmacro %}{{ head() }}",
]


@pytest.mark.parametrize("source", DATED)
def test_the_same_text_on_two_days(tiny_tokenizer: Any, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    tokenizer = with_template(tiny_tokenizer, source + TURNS)
    texts, unpinned = set(), set()
    for day in DAYS:
        on(monkeypatch, day)
        texts.add(chat_renderer(tokenizer)(MESSAGES))
        unpinned.add(tokenizer.apply_chat_template(MESSAGES, tokenize=False))
    assert len(unpinned) == 2  # the clock was set
    on(monkeypatch, DATE)
    assert texts == {tokenizer.apply_chat_template(MESSAGES, tokenize=False, add_generation_prompt=True)}


@pytest.mark.parametrize("start", ["", "\n", "\n\n", "  {% if true %}x{% endif %}\n", " {{ 'x' }}", "{%- if true %} x{% endif %}", "x\n"])
def test_pinning_the_date_changes_nothing_else(tiny_tokenizer: Any, monkeypatch: pytest.MonkeyPatch, start: str) -> None:
    on(monkeypatch, DATE)
    tokenizer = with_template(tiny_tokenizer, start + TURNS + "{{ strftime_now('%Y') }}")
    assert chat_renderer(tokenizer)(MESSAGES) == tokenizer.apply_chat_template(MESSAGES, tokenize=False, add_generation_prompt=True)


def test_a_default_among_named_templates_is_pinned_too(tiny_tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = with_template(tiny_tokenizer, {"default": "{{ strftime_now('%Y') }}" + TURNS, "tool_use": "{{ 1 }}"})
    on(monkeypatch, DAYS[0])
    assert chat_renderer(tokenizer)(MESSAGES).startswith("2024<system>")
    with pytest.raises(IclError, match="cannot choose a chat template"):
        chat_renderer(with_template(tiny_tokenizer, {"a": "x", "b": "y"}))


@pytest.mark.parametrize("source", ["{{ ['a', 'b'] | random }}", "{{ lipsum(1) }}"])
def test_a_chat_template_that_draws_at_random_is_refused(tiny_tokenizer: Any, source: str) -> None:
    with pytest.raises(IclError, match="draws at random"):
        chat_renderer(with_template(tiny_tokenizer, source + TURNS))


def test_a_refused_system_turn_goes_to_the_head_of_the_first_user_turn(tiny_tokenizer: Any) -> None:
    refuses = "{% if messages[0].role == 'system' %}{{ raise_exception('no system turn') }}{% endif %}" + TURNS
    drops = TURNS.replace("{% for m in messages %}", "{% for m in messages if m.role != 'system' %}")
    for source in (refuses, drops):
        assert chat_renderer(with_template(tiny_tokenizer, source))(MESSAGES) == "<user>Be brief.\n\n2 + 2?<assistant>"


@pytest.mark.parametrize(
    "source", ["{{ raise_exception('only one\nturn') }}", "{{ messages[7].content }}", "{{ 1 / 0 }}" + "{{ 'a' + 1 }}", "{% if %}"]
)
def test_a_chat_template_that_fails_is_one_line(tiny_tokenizer: Any, source: str) -> None:
    with pytest.raises(IclError, match="does not take these turns") as caught:
        chat_renderer(with_template(tiny_tokenizer, source))(MESSAGES)
    assert "\n" not in str(caught.value)


def test_chat_needs_a_chat_template(tiny_tokenizer: Any) -> None:
    with pytest.raises(IclError, match="leave --chat out"):
        chat_renderer(with_template(tiny_tokenizer, None))
