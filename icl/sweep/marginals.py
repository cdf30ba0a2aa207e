"""The mean of a field's values over the other fields, in matched settings.

A value is averaged over settings of the other fields in which every value shown was measured: otherwise a value that stands beside better
companions would look better itself. The interval is Student's t over draws of that average.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icl.intervals import Interval, holm, paired_difference, t_interval
from icl.sweep.results import Group, Row

Values = tuple[Any, ...]


@dataclass(frozen=True)
class Marginal:
    """One value of a field, or one combination of values of two or more."""

    values: Values
    mean: float
    ci95: Interval | None
    cells: int
    """Rows averaged."""
    per_draw: tuple[float, ...]


@dataclass(frozen=True)
class Effect:
    """A value against the first of its field, in the same settings and draws."""

    mean: float
    ci95: Interval | None
    p_adjusted: float | None
    """Paired t test over draws; Holm over all effects of the group."""


def marginals(group: Group, names: Sequence[str]) -> list[Marginal]:
    """Combinations of these fields' values, averaged over matched settings of the other fields. Empty where no two can be matched."""
    by_setting: dict[Values, dict[Values, Row]] = {}
    others = [name for name in group.fields if name not in names]
    for row in group.rows:
        setting = tuple(getattr(row.spec, name) for name in others)
        by_setting.setdefault(setting, {})[tuple(getattr(row.spec, name) for name in names)] = row
    place = [{value: i for i, value in enumerate(group.fields[name])} for name in names]

    def order(values: Values) -> list[int]:
        return [where[value] for where, value in zip(place, values, strict=True)]

    chosen, settings = _block({setting: set(of) for setting, of in by_setting.items()}, order)
    return [_marginal(values, [by_setting[setting][values] for setting in settings]) for values in sorted(chosen, key=order)]


def _block(of: dict[Values, set[Values]], order: Callable[[Values], list[int]]) -> tuple[list[Values], list[Values]]:
    """Combinations and settings such that every combination was measured in every setting: as many rows as can be had by leaving out the
    rarest combinations (those of single cells beside a grid, say). Equal blocks: the one with more combinations."""
    where: dict[Values, set[Values]] = {}
    for setting, combinations in of.items():
        for combination in combinations:
            where.setdefault(combination, set()).add(setting)
    often = sorted(where, key=lambda combination: (-len(where[combination]), order(combination)))
    best: tuple[int, int] = (0, 0)
    shared = set(of)
    for count, combination in enumerate(often, 1):
        shared &= where[combination]
        if count > 1 and shared:
            best = max(best, (count * len(shared), count))
    chosen = often[: best[1]]
    return chosen, [setting for setting in of if of[setting].issuperset(chosen)] if chosen else []


def _marginal(values: Values, rows: Sequence[Row]) -> Marginal:
    per_draw: NDArray[np.float64] = np.mean([row.values for row in rows], axis=0)
    return Marginal(values, float(per_draw.mean()), t_interval(per_draw), len(rows), tuple(per_draw.tolist()))


def effects(of: dict[str, list[Marginal]]) -> dict[str, list[Effect | None]]:
    """Field → an effect for each of its marginals; None for the first, which the others are held against."""
    differences = {
        (name, i): paired_difference(marginal.per_draw, found[0].per_draw)
        for name, found in of.items()
        for i, marginal in enumerate(found)
        if i
    }
    tested = {key: d.p_value for key, d in differences.items() if d.p_value is not None and d.ci95 is not None}
    adjusted = dict(zip(tested, holm(list(tested.values())), strict=True)) if tested else {}

    def effect(name: str, i: int) -> Effect:
        d = differences[name, i]
        return Effect(d.mean, d.ci95, adjusted.get((name, i)))

    return {name: [effect(name, i) if i else None for i in range(len(found))] for name, found in of.items()}
