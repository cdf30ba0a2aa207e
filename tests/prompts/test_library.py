"""The library: every shipped task can be asked in at least three ways, with an instruction, without, and in chat turns."""

from __future__ import annotations

import pytest

from prompts import library_names, load_template
from tasks.cardfile import load_card
from tasks.load import find_card
from tasks.load import library_names as task_names


@pytest.mark.parametrize("name", task_names())
def test_three_templates_serve_a_task(name: str) -> None:
    card = load_card(find_card(name))
    templates = [load_template(template) for template in library_names()]
    serving = [t for t in templates if card.kind in t.kinds and set(t.fields) <= set(card.inputs)]
    assert len(serving) >= 3
    assert any("instruction" in t.used and not t.name.endswith("-chat") for t in serving)
    assert any("instruction" not in t.used for t in serving)
    assert any(t.name.endswith("-chat") and "instruction" in t.used for t in serving)


def test_every_template_says_what_it_is() -> None:
    for name in library_names():
        template = load_template(name)
        assert template.name == name
        assert template.description.endswith(".")
        assert name.endswith("-chat") == template.description.startswith("For --chat;")
