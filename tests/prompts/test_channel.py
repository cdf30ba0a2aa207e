"""Items written answer-first: turned round where a template allows it, by its own block, or one line that says why not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from prompts import Candidate, PromptBuilder, load_template
from prompts.template import parse_template
from tasks import Example, IclError, Query, Task

TASK = Task(
    name="t", kind="classification", description="", fields=("text",), labels=("neg", "pos"), label_words={"neg": "bad", "pos": "good"},
    splits={}, default_template="", metrics=(), licence="", citation="", source="", fingerprint="",
)  # fmt: skip
FRONT = "---\nkinds: [classification]\n---\n"


def builder(body: str, **changes: object) -> PromptBuilder:
    return PromptBuilder(parse_template(FRONT + body, "own"), replace(TASK, **changes))  # type: ignore[arg-type]


def parts(made: PromptBuilder, **inputs: str) -> tuple[str, str]:
    text, start = made.channel.write(Query("q", inputs), "good")
    return text[:start], text[start:]


def test_what_stands_below_the_input_moves_in_front_of_it_with_the_answer() -> None:
    assert parts(builder("{% block query %}Text: {{ text }}\nSentiment:{% endblock %}"), text="a film") == (
        "Sentiment: good\nText:",
        " a film",
    )
    listed = "{% block query %}{{ text | trim }}\n\n{% for c in choices %}{{ c }}?\n{% endfor %}Label:{% endblock %}"
    assert parts(builder(listed), text=" a film ") == ("bad?\ngood?\nLabel: good\n", "a film")
    two = builder("{% block query %}{{ a }}\nQuestion: {{ b }} True?\nAnswer:{% endblock %}", fields=("a", "b"))
    assert parts(two, a="It rains.", b="Wet.") == ("Answer: good\n", "It rains.\nQuestion: Wet. True?")


def test_a_block_of_its_own_says_it() -> None:
    body = "{% block query %}{{ text }} It was{% endblock %}{% block channel %}It was {{ answer }}. {{ text }}!{% endblock %}"
    assert parts(builder(body), text="a film") == ("It was good.", " a film!")


def test_whole_prompts_keep_the_order_and_score_the_input_after_every_label() -> None:
    made = PromptBuilder(load_template("sentiment-instruct"), replace(TASK, label_words={"neg": "negative", "pos": "positive"}))
    shown = [Example("d", {"text": "fine"}, "pos")]
    first, second = made.channel_prompts(shown, Query("q", {"text": "dull"}), made.verbalizer.candidates(Query("q", {})))
    instruction = made.renderer.instruction
    assert first.text == f"{instruction}\n\nSentiment: positive\nText: fine\n\nSentiment: negative\nText: dull"
    assert [p.text[slice(*p.span)] for p in (first, second)] == [" dull", " dull"]
    assert second.text.endswith("Sentiment: positive\nText: dull")
    assert first.demonstrations == ("d",)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{% block query %}{{ text }} It was{% endblock %}", "asks in the line of the input, so it cannot be turned round"),
        (
            "{% block query %}{{ text }}\nS:{% endblock %}{% block demonstration %}{{ query }} {{ answer }}!{% endblock %}",
            "has a block 'demonstration' of its own",
        ),
        ("{% block query %}{{ text | length }}\nS:{% endblock %}", "shows no input field as it is"),
    ],
)
def test_templates_that_cannot_be_turned_round_say_so(body: str, message: str) -> None:
    with pytest.raises(IclError, match=message):
        _ = builder(body).channel


def test_conditions_on_the_input_are_noticed() -> None:
    before = builder("{% block query %}{% if text == 'x' %}Odd{% endif %}: {{ text }}\nS:{% endblock %}")
    assert parts(before, text="y")[1] == " y"
    with pytest.raises(IclError, match="item 'q' begins otherwise"):
        parts(before, text="x")
    with pytest.raises(IclError, match="item 'q' ends otherwise"):
        parts(builder("{% block query %}{{ text }}\nS{% if text == 'x' %}!{% endif %}:{% endblock %}"), text="x")


def test_a_block_without_the_answer_and_chat_turns_are_refused() -> None:
    with pytest.raises(IclError, match=r"block 'channel' must use \{\{ answer \}\}"):
        builder("{% block query %}{{ text }}{% endblock %}{% block channel %}{{ text }}{% endblock %}")
    chat = PromptBuilder(load_template("sentiment-plain"), TASK, str)
    with pytest.raises(IclError, match="leave out --chat"):
        chat.channel_prompts([], Query("q", {"text": "x"}), [Candidate("pos", "good")])
