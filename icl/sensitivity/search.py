"""The spread of accuracy over formats, found under a budget and then measured again (FormatSpread, Sclar et al. 2024).

The best and the worst of many formats, taken where they were found, are further apart than they are: a maximum and a minimum of noisy
numbers. So the queries are halved. On the first half successive halving towards both ends (Jamieson and Talwalkar 2016) looks for them:
all formats answer a quarter of that half, the better and the worse ends stay and answer more. On the second half, which chose nothing,
the ends, the middle one and the template's own format are measured once: their difference there is unbiased.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from icl.intervals import Interval
from icl.metrics import Outcome
from icl.sensitivity.components import NORMAL, Array
from icl.sensitivity.measure import margins
from tasks import Example, IclError, keyed_rng

CONFIRMED = ("best", "worst", "median", "own")
LEAST = 4
"""Formats of the smallest search."""

Ask = Callable[[int, Sequence[Example]], Outcome]
"""Format's number, queries → what the model answers, calibrated."""


@dataclass(frozen=True)
class Schedule:
    """How a budget is spent."""

    formats: int
    rounds: tuple[int, ...]
    """Queries that a format has answered after each round."""
    confirmed: int
    """Queries of the second half."""

    @property
    def staying(self) -> tuple[int, ...]:
        """Formats in each round."""
        counts = [self.formats]
        while len(counts) < len(self.rounds):
            counts.append(2 * math.ceil(counts[-1] / 4))
        return tuple(counts)

    @property
    def evaluations(self) -> int:
        """Prompts to be scored."""
        before = (0, *self.rounds[:-1])
        found = sum(count * (now - then) for count, now, then in zip(self.staying, self.rounds, before, strict=True))
        return found + len(CONFIRMED) * self.confirmed


def schedule(budget: int, queries: int, most: int) -> Schedule:
    """The search of most formats that a budget allows. Raises IclError when that is fewer than `LEAST`."""
    half = queries // 2
    rounds = tuple(dict.fromkeys(math.ceil(half * part) for part in (0.25, 0.5, 1)))

    def of(formats: int) -> Schedule:
        return Schedule(formats, rounds, queries - half)

    if of(LEAST).evaluations > budget:
        raise IclError(
            f"the search of formats with {queries} queries needs --budget {of(LEAST).evaluations} or more, but it is {budget}; "
            "--budget 0 leaves it out"
        )
    return of(max(count for count in range(LEAST, most + 1) if of(count).evaluations <= budget))


@dataclass(frozen=True)
class Tried:
    """What a format got where formats were looked for."""

    format: int
    queries: int
    accuracy: float
    margin: float


@dataclass(frozen=True)
class Confirmed:
    """A format on the half of the queries that chose nothing."""

    role: str
    format: int
    found: float | None
    """Accuracy where formats were looked for, biased for best and worst; None for one that did not answer that whole half."""
    accuracy: float
    ci95: Interval
    """Wilson's interval over queries."""


@dataclass(frozen=True)
class Spread:
    """The search's result."""

    tried: tuple[Tried, ...]
    """Every format at its last round, best first."""
    confirmed: tuple[Confirmed, ...]
    found: float
    """Best minus worst where they were found: biased upward."""
    honest: float
    """The same two on the other half."""
    ci95: Interval
    """Of `honest`, over queries: see `paired_interval`."""


def halves(queries: Sequence[Example], seed: int) -> tuple[list[Example], list[Example]]:
    """A keyed split, the smaller half first, each with the same share of every right answer, which take turns in it.

    A format that leans to one answer would seem good or bad by the luck of the split otherwise.
    """
    order = [queries[int(i)] for i in keyed_rng(seed, "format-halves").permutation(len(queries))]
    grouped = sorted(order, key=lambda example: example.target)
    return _taking_turns(grouped[1::2]), _taking_turns(grouped[::2])


def _taking_turns(grouped: Sequence[Example]) -> list[Example]:
    seen: Counter[str] = Counter()
    ranked = []
    for example in grouped:
        ranked.append((seen[example.target], example))
        seen[example.target] += 1
    return [example for _, example in sorted(ranked, key=lambda pair: pair[0])]


def find_spread(plan: Schedule, queries: Sequence[Example], seed: int, ask: Ask) -> Spread:
    """Spends the schedule."""
    first, second = halves(queries, seed)
    staying, last = list(range(plan.formats)), dict[int, Tried]()
    median = 0
    for number, (count, answered) in enumerate(zip(plan.staying, plan.rounds, strict=True)):
        if number:
            better = count // 2
            staying = [*staying[:better], *staying[-(count - better) :]]
        for form in staying:
            outcome = ask(form, first[:answered])
            last[form] = Tried(form, answered, float(outcome.correct.mean()), float(margins(outcome).mean()))
        staying = _ranked([last[form] for form in staying])
        if not number:
            median = staying[len(staying) // 2]
    chosen = dict(zip(CONFIRMED, (staying[0], staying[-1], median, 0), strict=True))
    outcomes = {form: ask(form, second) for form in dict.fromkeys(chosen.values())}
    correct = {form: outcome.correct for form, outcome in outcomes.items()}
    confirmed = tuple(
        Confirmed(role, form, _whole(last[form], plan), float(correct[form].mean()), wilson(correct[form])) for role, form in chosen.items()
    )
    difference = correct[chosen["best"]] - correct[chosen["worst"]]
    return Spread(
        tried=tuple(last[form] for form in _ranked(list(last.values()))),
        confirmed=confirmed,
        found=last[chosen["best"]].accuracy - last[chosen["worst"]].accuracy,
        honest=float(np.mean(difference)),
        ci95=paired_interval(difference),
    )


def wilson(correct: Array) -> Interval:
    """95 % interval of a share of right answers (Wilson 1927): also near 0 and 1, where Student's t would leave what is possible."""
    n, p = len(correct), float(correct.mean())
    centre, width = p + NORMAL**2 / (2 * n), NORMAL * (p * (1 - p) / n + NORMAL**2 / (4 * n**2)) ** 0.5
    return ((centre - width) / (1 + NORMAL**2 / n), (centre + width) / (1 + NORMAL**2 / n))


def paired_interval(difference: Array) -> Interval:
    """95 % interval of the mean of paired differences of −1, 0 and 1 (Agresti and Min 2005): half a query is added to either side, so
    that it has a width even where the two never differ."""
    n = len(difference) + 2
    up, down = float((difference > 0).sum()) + 0.5, float((difference < 0).sum()) + 0.5
    centre, width = (up - down) / n, NORMAL * (up + down - (up - down) ** 2 / n) ** 0.5 / n
    return (max(centre - width, -1.0), min(centre + width, 1.0))


def _whole(tried: Tried, plan: Schedule) -> float | None:
    return tried.accuracy if tried.queries == plan.rounds[-1] else None


def _ranked(tried: Sequence[Tried]) -> list[int]:
    """Best first; between equal accuracies the larger margin, then the format drawn earlier."""
    return [of.format for of in sorted(tried, key=lambda of: (-of.accuracy, -of.margin, of.format))]
