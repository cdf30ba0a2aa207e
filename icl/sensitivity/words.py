"""Label words as a factor: sets of words that say the same. `own` is what template and card say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from prompts import Template, check_fit
from prompts.build import label_words
from tasks import IclError, Task
from tasks.errors import unknown_name

CASES: dict[str, Callable[[str], str]] = {
    "title": lambda word: word[:1].upper() + word[1:],
    "lower": str.lower,
    "upper": str.upper,
}
SYNONYM = "synonym-"
"""With a number: the further words of a template's label_words; `synonym-1` is the second word of each label's list."""


def words_of(name: str, template: Template, task: Task) -> dict[str, str] | None:
    """Label → word of that set for a template; None for `own`. Raises IclError for a set that is unknown or that the template lacks."""
    if name == "own":
        return None
    number = name.removeprefix(SYNONYM)
    if name not in CASES and not (name.startswith(SYNONYM) and number.isdigit() and number != "0"):
        raise unknown_name("set of label words", name, ["own", *CASES, f"{SYNONYM}1"])
    if task.kind != "classification":
        raise IclError(f"label words need a task with labels, but '{task.name}' is of kind {task.kind}; use --words own")
    if template.mapping != "own":
        raise IclError(f"template '{template.name}' maps labels to words ({template.mapping}), so other words are no use; use --words own")
    own = label_words(template, task)
    if name in CASES:
        return {label: CASES[name](word) for label, word in own.items()}
    if short := [label for label in own if len(template.synonyms.get(label, ())) < int(number)]:
        raise IclError(f"template '{template.name}' has no {name} of label '{short[0]}': write a list of words in its label_words")
    return {label: template.synonyms[label][int(number) - 1] for label in own}


def default_words(templates: Sequence[Template], task: Task) -> tuple[str, ...]:
    """`own`, and the first other set that every template offers and that changes something in each."""
    for name in (f"{SYNONYM}1", *CASES):
        if all(_serves(name, template, task) for template in templates):
            return ("own", name)
    return ("own",)


def _serves(name: str, template: Template, task: Task) -> bool:
    try:
        words = words_of(name, template, task)
        if words is None or words == label_words(template, task):
            return False
        check_fit(replace(template, label_words=words, synonyms={}), task)
    except IclError:
        return False
    return True
