"""The best row against the worst on the queries of one draw: McNemar's exact test.

Within one draw only, the first: queries of several draws are not independent pairs, and a draw picked for its difference would be one more
choice. Since the pair was picked, its p-value is multiplied by the number of pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

from icl.intervals import mcnemar
from icl.runs.answers import correct_answers
from icl.sweep.results import Group, Row


@dataclass(frozen=True)
class Duel:
    """Two rows on the same queries."""

    episode: str
    queries: int
    only_best: int
    """Queries that the best row alone gets right."""
    only_worst: int
    p_adjusted: float
    """Bonferroni over all pairs that could have been picked."""


def duel(group: Group, pairs: int) -> Duel | None:
    """The first draw of the best and the worst row; None where rows are not compared by accuracy, or there is one row."""
    if group.metric != "accuracy" or len(group.rows) < 2:
        return None
    seed, episode, _ = group.draws[0]
    best, worst = (_correct(row, seed, episode) for row in (group.rows[0], group.rows[-1]))
    ids = sorted(best)
    test = mcnemar([best[id] for id in ids], [worst[id] for id in ids])
    return Duel(episode, len(ids), test.only_a, test.only_b, min(1.0, test.p_value * pairs))


def _correct(row: Row, seed: int, episode: str) -> dict[str, bool]:
    return correct_answers(row.runs[row.seeds.index(seed)], row.spec.calibration[0], episode)
