"""The prompts of a sensitivity report: every context (a draw in an order) with every wording (template, format, words)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from icl.selection import Chooser
from icl.sensitivity.spec import SensitivitySpec
from prompts import Template
from prompts.format_space import Format
from tasks import Example, keyed_rng


@dataclass(frozen=True)
class Context:
    """Demonstrations in the order in which they stand."""

    draw: int
    order: int
    places: tuple[int, ...]
    """In the pool."""
    shown: tuple[Example, ...]


@dataclass(frozen=True)
class Wording:
    """How items and answers are written."""

    place: tuple[int, int, int]
    """Template, format, words."""
    name: str
    """Of the template, as it was asked for."""
    template: Template
    """In that format, with those words."""
    form: Format | None
    """None where only the template's own is used."""
    words: str
    labels: tuple[str, ...]
    """Labels of the candidates when they are the same for every query, else empty."""


@dataclass(frozen=True)
class Cell:
    """One prompt for all queries."""

    context: Context
    wording: Wording

    @property
    def name(self) -> str:
        """Unique in the run: `d0.o1.t2.f0.w1`."""
        template, form, words = self.wording.place
        return f"d{self.context.draw}.o{self.context.order}.t{template}.f{form}.w{words}"


@dataclass(frozen=True)
class Plan:
    """All cells, in the order (draw, order, template, format, words)."""

    contexts: tuple[Context, ...]
    wordings: tuple[Wording, ...]
    shape: tuple[int, int, int, int, int]

    def cells(self) -> Iterator[Cell]:
        """The last factor varies fastest."""
        return (Cell(context, wording) for context in self.contexts for wording in self.wordings)

    def __len__(self) -> int:
        return math.prod(self.shape)


def draw_contexts(spec: SensitivitySpec, chooser: Chooser, support: Sequence[Example]) -> tuple[Context, ...]:
    """Draw d is that of episode d of `icl evaluate` with the same seed and pool. More draws or orders keep those of fewer."""
    contexts = []
    for draw in range(spec.draws):
        chosen = chooser.choose(None, spec.run.shots, keyed_rng(spec.run.seed, "select", f"e{draw:03d}", ""))
        for number, order in enumerate(_orders(spec, draw)):
            places = tuple(chosen[i] for i in order)
            contexts.append(Context(draw, number, places, tuple(support[i] for i in places)))
    return tuple(contexts)


def _orders(spec: SensitivitySpec, draw: int) -> list[tuple[int, ...]]:
    """Different permutations, the one that was drawn first (it is random, too)."""
    found = [tuple(range(spec.run.shots))]
    rng = keyed_rng(spec.run.seed, "orders", draw)
    while len(found) < spec.orders:
        order = tuple(int(i) for i in rng.permutation(spec.run.shots))
        if order not in found:
            found.append(order)
    return found
