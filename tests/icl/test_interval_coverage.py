"""Do 95 % intervals cover what they say they estimate? 2,000 simulated data sets per design; 92-97 % is asked.

Right or wrong of query q in episode e is a coin with chance 0.65 + a_e + b_q: a_e the luck of the episode's demonstrations (uniform,
standard deviation 0.05), b_q the query's difficulty (+0.25 for six in ten, else -0.375). All chances lie in (0, 1): the mean is 0.65.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from icl.intervals import crossed_bootstrap, t_interval
from icl.metrics import METRICS, Outcome
from tasks.rng import keyed_rng

DATASETS = 2000
MEAN = 0.65
WRONG_OR_RIGHT = np.log([[0.8, 0.2], [0.2, 0.8]])  # the right candidate is the second


@cache
def ids(size: int) -> tuple[str, ...]:
    return tuple(f"q{i}" for i in range(size))


def simulate(
    rng: np.random.Generator, design: str, count: int, queries: int, split: int
) -> tuple[float, list[np.ndarray], list[np.ndarray]]:
    """(mean difficulty of the split, rows per episode, right or wrong per episode)."""
    difficulty = np.where(rng.random(split) < 0.6, 0.25, -0.375)
    luck = (rng.random(count) - 0.5) * 0.05 * 12**0.5
    if design == "overlapping":
        rows = [rng.choice(split, queries, replace=False) for _ in range(count)]
    elif design == "disjoint":
        rows = np.split(rng.permutation(split)[: count * queries], count)
    else:
        rows = [np.arange(queries)] * count
    right = [(rng.random(queries) < MEAN + difficulty[r] + a).astype(int) for r, a in zip(rows, luck, strict=True)]
    return float(difficulty.mean()), rows, right


def as_outcome(rows: np.ndarray, right: np.ndarray, split: int) -> Outcome:
    names = ids(split)
    return Outcome(WRONG_OR_RIGHT[right], np.ones(len(right), dtype=np.int64), tuple(names[r] for r in rows))


@pytest.mark.parametrize(("design", "queries", "split"), [("overlapping", 50, 400), ("disjoint", 50, 400), ("same", 100, 100)])
def test_t_from_5_episodes_covers_this_splits_mean_over_episode_draws(design, queries, split):
    rng = keyed_rng(0, "coverage-t", design)
    covered = 0
    for _ in range(DATASETS):
        difficulty, _, right = simulate(rng, design, 5, queries, split)
        low, high = t_interval([r.mean() for r in right])
        covered += low <= MEAN + difficulty <= high
    assert 0.92 <= covered / DATASETS <= 0.97


@pytest.mark.parametrize(("design", "queries", "split"), [("overlapping", 50, 400), ("disjoint", 20, 400), ("same", 50, 50)])
def test_crossed_bootstrap_from_20_episodes_covers_the_mean_over_new_episodes_and_queries(design, queries, split):
    rng = keyed_rng(0, "coverage-crossed", design)
    covered = 0
    for _ in range(DATASETS):
        _, rows, right = simulate(rng, design, 20, queries, split)
        outcomes = [as_outcome(r, y, split) for r, y in zip(rows, right, strict=True)]
        low, high = crossed_bootstrap(METRICS["accuracy"], outcomes, draws=200)
        covered += low <= MEAN <= high
    assert 0.92 <= covered / DATASETS <= 0.97


def test_the_t_interval_does_not_claim_to_cover_new_queries():
    """The two intervals estimate different things: where episodes share queries, t leaves out the luck of the split."""
    rng = keyed_rng(0, "coverage-t-new-queries")
    covered = 0
    for _ in range(DATASETS):
        low, high = t_interval([r.mean() for r in simulate(rng, "overlapping", 20, 50, 400)[2]])
        covered += low <= MEAN <= high
    assert covered / DATASETS < 0.92
