"""Hyper-parameters of a learner, chosen on meta-validation episodes. Test episodes are not in reach here.

Every entry of the learner's grid is meta-trained and played on the same episodes; the best mean accuracy wins, then the smallest mean
negative log-likelihood, then the earlier entry. Without such episodes the first entry is taken.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from compare.learners import Family, Tools
from compare.meta_tasks import MetaEpisodes
from compare.play import Played, play
from compare.types import Learner
from tasks import keyed_rng


@dataclass(frozen=True)
class Tried:
    """One entry of the grid on the meta-validation episodes."""

    settings: dict[str, Any]
    accuracy: float
    nll: float
    failed: int


@dataclass(frozen=True)
class Chosen:
    """A meta-trained learner, how it was found, and what its own meta-training took."""

    learner: Learner
    settings: dict[str, Any]
    tried: tuple[Tried, ...]
    """Empty when there was nothing to choose, or nothing to choose with."""
    episodes: int
    """Meta-validation episodes per entry."""
    meta_train_seconds: float
    search_seconds: float
    """Meta-training of the other entries, and all playing on meta-validation episodes."""
    search_flops: int


def choose(family: Family, tools: Tools, k: int, meta: MetaEpisodes, seed: int, tick: Callable[[], None] = lambda: None) -> Chosen:
    """The best entry of the family's grid for K = k. `tick` is called after each entry. Raises IclError as meta-training does."""
    candidates: list[tuple[Learner, float]] = []
    tried: list[Tried] = []
    search_flops = 0
    searching = len(family.grid) > 1 and bool(meta.validation)
    began = time.perf_counter()
    for settings in family.grid if searching else family.grid[:1]:
        start = time.perf_counter()
        untrained = family.build(tools, settings)
        # The same stream for every entry: they differ in their settings alone.
        learner = untrained.meta_train(meta.train, keyed_rng(seed, "meta-train", untrained.name, k))
        candidates.append((learner, time.perf_counter() - start))
        if searching:
            played = [play(learner, episode, seed) for episode in meta.validation]
            tried.append(_tried(settings, played))
            search_flops += learner.meta_flops + sum(p.adapt_flops + p.predict_flops for p in played)
        tick()
    best = min(range(len(tried)), key=lambda i: (-tried[i].accuracy, tried[i].nll, i)) if searching else 0
    learner, seconds = candidates[best]
    return Chosen(
        learner=learner,
        settings=asdict(family.grid[best]),
        tried=tuple(tried),
        episodes=len(meta.validation) if searching else 0,
        meta_train_seconds=seconds,
        search_seconds=time.perf_counter() - began - seconds,
        search_flops=search_flops - learner.meta_flops if searching else 0,
    )


def _tried(settings: Any, played: list[Played]) -> Tried:
    return Tried(
        settings=asdict(settings),
        accuracy=float(np.mean([p.accuracy for p in played])),
        nll=float(np.mean([p.nll for p in played])),
        failed=sum(bool(p.reason) for p in played),
    )
