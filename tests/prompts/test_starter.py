"""A starter works for every shipped task, and for labels and descriptions that YAML or Jinja could take for something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from prompts import PromptBuilder, parse_template
from prompts.lint import lint
from prompts.starter import starter
from tasks.cardfile import load_card
from tasks.load import find_card, library_names, load_task

EMBEDDED = {name for name in library_names() if load_card(find_card(name)).source.type != "hub"}


@pytest.mark.parametrize("name", library_names())
def test_a_starter_passes_lint_on_its_task(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    text = starter(load_card(find_card(name)))
    parse_template(text, "mine")
    file = tmp_path / "mine.jinja"
    file.write_text(text, encoding="utf-8")
    task = load_task(name, None if name in EMBEDDED else request.getfixturevalue("mirror"))
    report = lint(file, task)
    assert not report.errors, report.findings


def test_awkward_labels_and_descriptions(own_task: Path) -> None:
    card = own_task.read_text(encoding="utf-8")
    card = card.replace("description: Short reviews, positive or negative.", "description: 'Is {{ it }} good?'")
    card = card.replace("{negative: negative, positive: positive}", """{negative: 'no: "#"', positive: 'yes'}""")
    own_task.write_text(card, encoding="utf-8")
    template = parse_template(starter(load_card(own_task)), "mine")
    builder = PromptBuilder(template, load_task(own_task))
    assert builder.renderer.instruction == 'Is {{ it }} good? Answer with one of: no: "#", yes.'
    assert builder.verbalizer.words == {"negative": 'no: "#"', "positive": "yes"}
