"""What is said about one group: every row against the best, the best against the worst, each field's marginal means, how it was chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations

from icl.calibration import get_calibrator
from icl.metrics import METRICS
from icl.spec import RunSpec
from icl.sweep.duel import Duel, duel
from icl.sweep.marginals import Effect, Marginal, effects, marginals
from icl.sweep.results import Group
from icl.sweep.statistics import AllPairs, Contrast, held_out, least_t


@dataclass(frozen=True)
class Analysis:
    """A group with its statistics."""

    group: Group
    pairs: int
    """Pairs of rows that could have been picked."""
    to_best: tuple[Contrast | None, ...]
    """Each row minus the best, which is the first and has None."""
    duel: Duel | None
    held_out: float | None
    """The winner's value in draws that did not choose it; None for one draw or one row."""
    marginals: Mapping[str, list[Marginal]]
    """Field → its values, only where they were measured in the same settings."""
    effects: Mapping[str, list[Effect | None]]
    surfaces: Mapping[tuple[str, str], list[Marginal]]
    """Two fields → their combinations; the pair whose means differ most comes first."""
    needed: tuple[float, float] | None
    """Standard errors that a difference must measure to count, with these draws and with twice as many; None for one draw or one row."""

    @property
    def transductive(self) -> bool:
        """Whether a row's calibration sees all queries of an episode."""
        return any(get_calibrator(name).transductive for row in self.group.rows for name in row.spec.calibration)

    @property
    def chosen_on_test(self) -> bool:
        """Whether the best of several was looked for on the split that results are reported on."""
        return self.group.split == "test" and len(self.group.rows) > 1


def analyse(group: Group) -> Analysis:
    """All statistics of a group. Reads the tables of two runs, for McNemar's test."""
    values = [row.values for row in group.rows]
    pairs, draws, several = AllPairs(values), len(group.draws), len(values) > 1
    found = {name: marginals(group, [name]) for name in group.fields}
    found = {name: of for name, of in found.items() if of}
    return Analysis(
        group=group,
        pairs=pairs.count,
        to_best=tuple(pairs.contrast(i, 0) if i else None for i in range(len(values))),
        duel=duel(group, pairs.count),
        held_out=held_out(values, METRICS[group.metric].higher_is_better) if several else None,
        marginals=found,
        effects=effects(found),
        surfaces=_surfaces(group),
        needed=(least_t(pairs.count, draws), least_t(pairs.count, 2 * draws)) if several and draws > 1 else None,
    )


def _surfaces(group: Group) -> dict[tuple[str, str], list[Marginal]]:
    found = {(a, b): marginals(group, [a, b]) for a, b in combinations(group.fields, 2)}

    def spread(pair: tuple[str, str]) -> float:
        means = [marginal.mean for marginal in found[pair]]
        return max(means) - min(means)

    return {pair: found[pair] for pair in sorted(filter(lambda pair: _varies(found[pair]), found), key=spread, reverse=True)}


def _varies(found: list[Marginal]) -> bool:
    """Whether both fields do."""
    return all(len(set(values)) > 1 for values in zip(*(marginal.values for marginal in found), strict=True)) if found else False


def confirmation(group: Group) -> RunSpec:
    """What to evaluate once, after the choice: the best row on the test split."""
    return replace(group.rows[0].cell, split="test")
