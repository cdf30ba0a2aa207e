"""Demonstrations in a damaged format, before a query side that is whole. What is lost then is what the format of demonstrations gives.

Each damage writes a template file, which goes through the ordinary parser and builder (prompts/format_space.py).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from prompts.format_space import Format, layout_of
from prompts.types import Template
from tasks.errors import IclError
from tasks.rng import keyed_rng

RUN_TOGETHER = Format(mark=" ", joiner=" ", delimiter=" ", enumerator="{} ")


def separators_removed(template: Template) -> Template:
    """One space in the place of every line feed, colon and empty line of the demonstrations. Raises IclError as `layout_of` does."""
    return layout_of(template).before_own(RUN_TOGETHER)


def names_garbled(template: Template, seed: int) -> Template:
    """The letters of every field's name in the demonstrations in another order, keyed by the seed.

    Raises IclError as `layout_of` does, and for a template without a name whose letters can be reordered.
    """
    layout = layout_of(template)
    names = {line.name for line in layout.lines}
    garbled = {name: _garbled(name, seed) for name in names}
    if all(other == name for name, other in garbled.items()):
        raise IclError(f"template '{template.name}' has no named field whose letters can stand in another order")
    return layout.before_own(layout.own, garbled.__getitem__)


def _garbled(name: str, seed: int) -> str:
    """Every word's letters shuffled until they differ."""
    rng = keyed_rng(seed, "garbled", name)
    return " ".join(_shuffled(word, rng) for word in name.split(" "))


def _shuffled(word: str, rng: np.random.Generator) -> str:
    if len(set(word)) < 2:
        return word
    while (other := "".join(word[int(i)] for i in rng.permutation(len(word)))) == word:
        pass
    return other


DAMAGES: dict[str, Callable[[Template, int], Template]] = {
    "separators removed": lambda template, seed: separators_removed(template),
    "names garbled": names_garbled,
}
"""What is damaged → template and seed → damaged template."""
