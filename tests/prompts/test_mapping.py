"""Label words for ablations, and numbers as answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from prompts import PromptBuilder, load_template, parse_template
from prompts.build import ARBITRARY, check_fit
from prompts.lint import lint
from tasks.errors import IclError
from tasks.load import load_task
from tasks.types import Task

QUERY = "{% block instruction %}{{ labels | join('/') }}{% endblock %}{% block query %}{{ text }} ={% endblock %}"


@pytest.fixture
def task(own_task: Path) -> Task:
    return load_task(own_task)


@pytest.mark.parametrize(
    ("mapping", "negative", "positive"),
    [("own", "negative", "positive"), ("reversed", "positive", "negative"), ("arbitrary", ARBITRARY[0], ARBITRARY[1])],
)
def test_a_mapping_holds_in_demonstrations_candidates_and_instruction(task: Task, mapping: str, negative: str, positive: str) -> None:
    builder = PromptBuilder(parse_template(f"---\nmapping: {mapping}\n---\n{QUERY}", "mine"), task)
    example = next(e for e in task.splits["demonstration"] if e.target == "positive")
    query = task.splits["test"][0].query()
    first, second = builder.prompts([example], query, builder.verbalizer.candidates(query))
    assert first.text == f"{negative}/{positive}\n\n{example.inputs['text']} = {positive}\n\n{query.inputs['text']} = {negative}"
    assert (first.candidate, second.candidate) == ("negative", "positive")
    assert second.text.endswith(f" = {positive}")


def test_numbers_stand_for_labels(task: Task) -> None:
    builder = PromptBuilder(load_template("classify-numbers"), task)
    query = task.splits["test"][0].query()
    texts = [prompt.text for prompt in builder.prompts([], query, builder.verbalizer.candidates(query))]
    assert texts == [f"Text: {query.inputs['text']}\n1. negative\n2. positive\nLabel: {number}" for number in (1, 2)]
    check_fit(
        parse_template("---\nanswer: number\n---\n{% block query %}{{ text }} positive (2) or negative (1)?{% endblock %}", "mine"), task
    )


@pytest.mark.parametrize(
    ("front", "task_name", "message"),
    [
        ("mapping: backwards", None, "mapping"),
        ("answer: number", None, "answers with numbers, but its prompt never says"),
        ("{answer: number, kinds: [generation]}", "plural", "answers with numbers, which needs labels"),
        ("{mapping: reversed, kinds: [generation]}", "plural", "maps labels"),
    ],
)
def test_mistakes(task: Task, front: str, task_name: str | None, message: str) -> None:
    field = "input" if task_name else "text"
    with pytest.raises(IclError, match=message):
        check_fit(
            parse_template(f"---\n{front}\n---\n{{% block query %}}{{{{ {field} }}}} ={{% endblock %}}", "mine"),
            load_task(task_name) if task_name else task,
        )


def test_too_many_labels_for_arbitrary_words(own_task: Path) -> None:
    many = ", ".join(f"l{i}" for i in range(len(ARBITRARY)))
    card = own_task.read_text(encoding="utf-8").replace("{negative: negative, positive: positive}", f"[negative, positive, {many}]")
    own_task.write_text(card, encoding="utf-8")
    with pytest.raises(IclError, match="has words for at most 12 labels"):
        check_fit(parse_template(f"---\nmapping: arbitrary\n---\n{QUERY}", "mine"), load_task(own_task))


def test_more_than_nine_numbers_begin_each_other(own_task: Path) -> None:
    many = ", ".join(f"l{i}" for i in range(8))
    card = own_task.read_text(encoding="utf-8").replace("{negative: negative, positive: positive}", f"[negative, positive, {many}]")
    own_task.write_text(card, encoding="utf-8")
    assert "P012" in {finding.rule for finding in lint("classify-numbers", load_task(own_task), 1).findings}
