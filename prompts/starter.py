"""A first template for a task, from what its card says: one that works, passes lint, and shows what may be changed."""

from __future__ import annotations

import json
import re

from tasks.card import TaskCard

TAGS = re.compile(r"\{[{%#]|\n")
ANSWERS = {"classification": "word", "multiple_choice": "letter", "generation": "text"}
CHOICES = "{% for choice in choices %}{{ letters[loop.index0] }}. {{ choice }}\n{% endfor %}"


def starter(card: TaskCard) -> str:
    """The text of a template file."""
    return f"---\n{_front_matter(card)}---\n{_instruction(card)}\n{_query(card)}\n"


def _front_matter(card: TaskCard) -> str:
    lines = [
        f"description: {_quoted(f'How {card.name} is asked.')}",
        f"kinds: [{card.kind}]",
        f"fields: [{', '.join(_quoted(name) for name in card.inputs)}]",
        f"answer: {ANSWERS[card.kind]}",
        'answer_prefix: " "',
    ]
    if card.labels:
        lines += ["label_words:", *(f"  {_quoted(label)}: {_quoted(word)}" for label, word in card.labels.items())]
    return "".join(line + "\n" for line in lines)


def _instruction(card: TaskCard) -> str:
    what = "{{ task.description }}" if TAGS.search(card.description) else card.description
    how = {
        "classification": " Answer with one of: {{ labels | join(', ') }}.",
        "multiple_choice": " Answer with the letter of the right choice.",
        "generation": "",
    }
    return f"{{% block instruction %}}{what}{how[card.kind]}{{% endblock %}}"


def _query(card: TaskCard) -> str:
    fields = "".join(f"{_title(name)}: {{{{ {name} }}}}\n" for name in card.inputs)
    choices = CHOICES if card.kind == "multiple_choice" else ""
    return f"{{% block query %}}{fields}{choices}Answer:{{% endblock %}}"


def _title(name: str) -> str:
    """`first_name` → `First name`."""
    words = name.replace("_", " ").strip() or name
    return words[0].upper() + words[1:]


def _quoted(text: str) -> str:
    """A text as YAML reads it back: JSON's way of quoting is one of YAML's."""
    return json.dumps(text, ensure_ascii=False)
