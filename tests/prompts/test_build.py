"""Whole prompts: golden texts, spans, label words, chat turns."""

from __future__ import annotations

from typing import Any

import pytest

from prompts import PromptBuilder, check_fit, load_template, parse_template
from prompts.chat import chat_renderer
from prompts.types import Template
from tasks.errors import IclError
from tasks.types import Example, Query, Task


def make_task(
    kind: str = "classification", fields: tuple[str, ...] = ("text",), labels: tuple[str, ...] = ("negative", "positive")
) -> Task:
    return Task(
        name="toy", kind=kind, description="A toy.", fields=fields, labels=labels, label_words={label: label for label in labels}, splits={},
        default_template="sentiment-plain", metrics=("accuracy",), licence="CC0-1.0", citation="", source="here", fingerprint="f",
    )  # type: ignore[arg-type]  # fmt: skip


SHOWN = [Example("a", {"text": "great fun"}, "positive"), Example("b", {"text": "so dull"}, "negative")]


def test_golden_prompt_and_span() -> None:
    builder = PromptBuilder(load_template("sentiment-plain"), make_task())
    query = Query("q", {"text": "hm  "})
    prompts = builder.prompts(SHOWN, query, builder.verbalizer.candidates(query))
    context = "Text: great fun\nSentiment: positive\n\nText: so dull\nSentiment: negative\n\nText: hm  \nSentiment:"
    assert [p.text for p in prompts] == [context + " negative", context + " positive"]
    assert [p.text[slice(*p.span)] for p in prompts] == [" negative", " positive"]
    assert [p.candidate for p in prompts] == ["negative", "positive"]
    assert prompts[0].demonstrations == ("a", "b")


def test_instruction_stands_first_and_names_the_label_words() -> None:
    builder = PromptBuilder(load_template("sentiment-instruct"), make_task())
    assert builder.context([], Query("q", {"text": "x"})) == (
        "Decide whether the sentiment of each text is negative or positive.\n\nText: x\nSentiment:"
    )


def test_a_template_may_offer_other_label_words() -> None:
    source = "---\nlabel_words: {negative: bad, positive: good}\n---\n{% block query %}{{ text }} is{% endblock %}"
    builder = PromptBuilder(parse_template(source, "mine"), make_task())
    assert builder.context(SHOWN[:1], Query("q", {"text": "x"})) == "great fun is good\n\nx is"


def test_label_words_must_cover_the_labels_and_differ() -> None:
    missing = "---\nlabel_words: {negative: bad}\n---\n{% block query %}{{ text }}{% endblock %}"
    with pytest.raises(IclError, match="none for positive"):
        PromptBuilder(parse_template(missing, "mine"), make_task())
    same = "---\nlabel_words: {negative: bad, positive: bad}\n---\n{% block query %}{{ text }}{% endblock %}"
    with pytest.raises(IclError, match="must differ"):
        PromptBuilder(parse_template(same, "mine"), make_task())


def test_choices_as_text_and_as_letters() -> None:
    task = make_task("multiple_choice", ("question",), ())
    query = Query("q", {"question": "2 + 2?"}, ("3", "4"))
    example = Example("e", {"question": "1 + 1?"}, "B", ("1", "2"))
    cloze = PromptBuilder(load_template("qa-cloze"), task)
    assert [p.text for p in cloze.prompts([example], query, cloze.verbalizer.candidates(query))] == [
        f"Question: 1 + 1?\nAnswer: 2\n\nQuestion: 2 + 2?\nAnswer: {answer}" for answer in ("3", "4")
    ]
    letters = PromptBuilder(load_template("qa-letters"), task)
    assert letters.context([example], query) == "1 + 1?\nA. 1\nB. 2\nAnswer: B\n\n2 + 2?\nA. 3\nB. 4\nAnswer:"
    assert [(c.label, c.text) for c in letters.verbalizer.candidates(query)] == [("A", "A"), ("B", "B")]


def test_a_generated_answer_that_is_a_letter_is_written_as_it_is() -> None:
    """Carbon's symbol is "C", whatever the third distractor is."""
    builder = PromptBuilder(load_template("word-plain"), make_task("generation", ("input",), ()))
    carbon = Example("e", {"input": "carbon"}, "C", ("N", "O", "As", "C"))
    assert builder.context([carbon], Query("q", {"input": "iron"})) == "Input: carbon\nOutput: C\n\nInput: iron\nOutput:"
    candidates = builder.verbalizer.candidates(carbon.query())
    assert [(c.label, c.text) for c in candidates] == [("A", "N"), ("B", "O"), ("C", "As"), ("D", "C")]


LISTED = "{% for choice in choices %}{{ letters[loop.index0] }}. {{ choice }}\n{% endfor %}"


def lettered(body: str, front: str = "answer: letter") -> Template:
    return parse_template(f"---\n{front}\n---\n{body}", "mine")


def test_letters_for_labels_stand_beside_the_label_words() -> None:
    builder = PromptBuilder(load_template("classify-letters"), make_task())
    query = Query("q", {"text": "x"})
    context = "Text: great fun\nA. negative\nB. positive\nLabel: B\n\nText: x\nA. negative\nB. positive\nLabel:"
    assert [p.text for p in builder.prompts(SHOWN[:1], query, builder.verbalizer.candidates(query))] == [context + " A", context + " B"]
    own = lettered(
        "{% block instruction %}" + LISTED + "{% endblock %}{% block query %}{{ text }}{% endblock %}",
        "answer: letter\nlabel_words: {negative: bad, positive: good}",
    )
    assert PromptBuilder(own, make_task()).context([], query) == "A. bad\nB. good\n\n\nx"


def test_letters_for_labels_end_at_z() -> None:
    template = lettered("{% block query %}{{ text }}" + LISTED + "{% endblock %}")
    assert PromptBuilder(template, make_task()).verbalizer.words == {"negative": "A", "positive": "B"}
    with pytest.raises(IclError, match="at most 26 labels, but task 'toy' has 27"):
        PromptBuilder(template, make_task(labels=tuple(f"l{i}" for i in range(27))))


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("classification", "{% block query %}{{ text }}{% endblock %}"),
        ("classification", "{% block query %}{{ text }} {{ labels | join(', ') }}{% endblock %}"),
        ("classification", "{% block query %}{{ text }} A. positive{% endblock %}"),
        ("multiple_choice", "{% block query %}{{ text }}{% endblock %}"),
    ],
)
def test_letters_that_the_prompt_does_not_explain_are_refused(kind: str, body: str) -> None:
    with pytest.raises(IclError, match="never says what they stand for"):
        check_fit(lettered(body), make_task(kind, labels=("negative", "positive") if kind == "classification" else ()))


def test_letters_may_be_explained_in_the_templates_own_words() -> None:
    check_fit(
        lettered("{% block instruction %}negative (A) or positive (B)?{% endblock %}{% block query %}{{ text }}{% endblock %}"), make_task()
    )


def test_letters_do_not_answer_a_generation_task() -> None:
    with pytest.raises(IclError, match="is answered with a text"):
        check_fit(lettered("{% block query %}{{ text }}" + LISTED + "{% endblock %}"), make_task("generation", labels=()))


def test_a_field_must_not_be_hidden_by_a_given_name() -> None:
    template = parse_template("{% block query %}{{ text }} {{ labels | join }}{% endblock %}", "mine")
    with pytest.raises(IclError, match="has a field 'labels', but in a template 'labels' means something else"):
        check_fit(template, make_task(fields=("text", "labels")))


def test_template_and_task_must_fit() -> None:
    with pytest.raises(IclError, match="needs the field question"):
        PromptBuilder(load_template("boolq-plain"), make_task(fields=("passage",)))
    with pytest.raises(IclError, match="the task's own default is 'sentiment-plain'"):
        PromptBuilder(load_template("qa-cloze"), make_task())


class ChatTokenizer:
    """Writes turns as <role>content</role>; refuses a system turn when told to."""

    chat_template = "yes"

    def __init__(self, system: bool) -> None:
        self.system = system

    def get_chat_template(self) -> str:
        return self.chat_template

    def apply_chat_template(self, messages: list[dict[str, str]], tokenize: bool, add_generation_prompt: bool) -> str:
        from jinja2 import TemplateError

        if not self.system and messages[0]["role"] == "system":
            raise TemplateError("no system turn")
        return "".join(f"<{m['role']}>{m['content']}" for m in messages) + "<assistant>"


@pytest.mark.parametrize(("system", "start"), [(True, "<system>{i}<user>Text: great fun"), (False, "<user>{i}\n\nText: great fun")])
def test_chat_turns(system: bool, start: str) -> None:
    template: Template = load_template("sentiment-instruct")
    builder = PromptBuilder(template, make_task(), chat_renderer(ChatTokenizer(system)))
    query = Query("q", {"text": "x"})
    prompt: Any = builder.prompts(SHOWN[:1], query, builder.verbalizer.candidates(query))[1]
    instruction = "Decide whether the sentiment of each text is negative or positive."
    expected = start.format(i=instruction) + "\nSentiment:<assistant>positive<user>Text: x\nSentiment:<assistant>positive"
    assert prompt.text == expected
    assert prompt.text[slice(*prompt.span)] == "positive"
    assert prompt.add_special_tokens is False
