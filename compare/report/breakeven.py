"""From how many queries on a learner is cheaper than the prompt: two straight lines, cost = once + per query · n. Pure arithmetic.

The prompt has three lines. *Alone*: every query comes by itself and reads all demonstrations. *Kept*: keys and values of the demonstrations
are computed once and kept. *Together*: queries come by the episode and share one reading, which is what was run and the only one that was
timed. A learner's line begins at what adapting costs, with or without the whole of its meta-training: with, when this is the only task
that it will ever serve; without, when so many tasks share it that a single one pays next to nothing. The search of settings is in neither.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from compare.learners import LEARNERS
from compare.statistics import REFERENCE
from icl.report.facts import scaled


@dataclass(frozen=True)
class Line:
    """What n queries of one task cost, in FLOPs or seconds."""

    once: float
    per_query: float

    def total(self, queries: int) -> float:
        """Cost of so many queries."""
        return self.once + self.per_query * queries


@dataclass(frozen=True)
class BreakEven:
    """The numbers of queries for which a line lies below another."""

    first: int | None
    """Fewest; None: it never does."""
    last: int | None
    """Most; None: from `first` on it always does."""

    def words(self) -> str:
        """`from 37`, `from 122 k`, `up to 12`, `always`, `never`."""
        if self.first is None:
            return "never"
        if self.last is not None:
            return f"up to {scaled(self.last)}"
        return "always" if self.first == 1 else f"from {scaled(self.first)}"


def break_even(learner: Line, prompt: Line) -> BreakEven:
    """For how many queries, 1 or more, the learner costs strictly less."""
    gain, head_start = prompt.per_query - learner.per_query, prompt.once - learner.once
    if gain > 0:
        return BreakEven(max(1, math.floor(-head_start / gain) + 1), None)
    if gain == 0:
        return BreakEven(1, None) if head_start > 0 else BreakEven(None, None)
    last = math.ceil(head_start / -gain) - 1
    return BreakEven(1, last) if last >= 1 else BreakEven(None, None)


@dataclass(frozen=True)
class Prompt:
    """In-context learning at one K."""

    k_shot: int
    alone: Line
    """FLOPs."""
    kept: Line
    """FLOPs."""
    together: Line
    """Seconds."""


@dataclass(frozen=True)
class Weights:
    """Another learner at one K; `shared`: meta-training left out, `whole`: all of it on this one task."""

    learner: str
    k_shot: int
    shared: Line
    """FLOPs."""
    whole: Line
    """FLOPs."""
    shared_seconds: Line
    whole_seconds: Line
    reading: float
    """FLOPs of the demonstrations in its own prompts, which `shared` and `whole` read once and keep; 0 for a learner without any."""

    def alone(self, line: Line) -> Line:
        """`shared` or `whole`, if every query comes by itself."""
        return Line(line.once - self.reading, line.per_query + self.reading)

    @property
    def meta_trained(self) -> bool:
        """Whether anything was spent before the task came."""
        return self.whole.once > self.shared.once


def prompts(cost: Any, n_queries: int) -> dict[int, Prompt]:
    """K → the prompt's lines; empty without in-context learning.

    What was run reads the demonstrations once for `n_queries` queries: without that reading it is what a query costs that finds them kept,
    and with the whole of it what a query costs that comes alone. So all queries of the run count, as they do for the other learners.
    """
    reading = {row["k_shot"]: row["kept_adapt"] for row in cost["in_context_prefix"]}
    return {row["k_shot"]: _prompt(row, reading[row["k_shot"]], n_queries) for row in cost["rows"] if row["learner"] == REFERENCE}


def _prompt(row: Any, reading: float, n_queries: int) -> Prompt:
    own = row["flops"]["per_query"] - reading / n_queries
    together = Line(row["seconds"]["adapt"], row["seconds"]["per_query"])
    return Prompt(row["k_shot"], Line(0.0, own + reading), Line(reading, own), together)


def weights(cost: Any, n_queries: int) -> Iterator[Weights]:
    """Every learner but in-context learning, in the order of the run. One that shows demonstrations as well is read as the prompt is."""
    readings = {row["k_shot"]: row["kept_adapt"] for row in cost["in_context_prefix"]}
    for row in cost["rows"]:
        name, k = row["learner"], row["k_shot"]
        if name == REFERENCE:
            continue
        flops, seconds = row["flops"], row["seconds"]
        reading = readings[k] if LEARNERS[name].shows_support else 0
        once, own = flops["adapt"] + reading, flops["per_query"] - reading / n_queries
        yield Weights(
            name,
            k,
            Line(once, own),
            Line(once + flops["meta_train"], own),
            Line(seconds["adapt"], seconds["per_query"]),
            Line(seconds["adapt"] + seconds["meta_train"], seconds["per_query"]),
            reading,
        )
