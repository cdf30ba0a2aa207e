"""Hyper-parameters of a learner, chosen on meta-validation episodes. Test episodes are not in reach here.

Every entry of the learner's grid is meta-trained and played on the same episodes; the best mean accuracy wins, then the smallest mean
negative log-likelihood, then the earlier entry. Without such episodes the first entry is taken.

All learners have the same budget at each K: BUDGET floating-point operations for playing. Entries are played in rounds of one episode
each, and a round begins while what it is likely to cost (what the one before it cost) is left; the first always does. So a learner whose
adapting is cheap sees every episode, one that trains a language model sees a few, and the report says how many. Operations are counted, not
seconds: a search that depends on the machine's speed could not be repeated. Meta-training of the entries comes on top, and is stated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from compare.course import WATCHED, Course, Point
from compare.journal import Forgetful, Memory
from compare.learners import Family, Tools
from compare.meta_tasks import MetaEpisodes
from compare.once import Trained, played_once, trained_once
from compare.play import Played, no_forward_passes, play
from compare.types import Learner, LearningEpisode
from tasks import keyed_rng

BUDGET = 3 * 10**12
"""About a quarter of a minute of training the embedded model on two cores; on slow ones half a minute."""
FORGETFUL = Forgetful()


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
    points: tuple[Point, ...] = ()
    """Accuracy over the course of its meta-training."""


def choose(
    family: Family,
    tools: Tools,
    k: int,
    meta: MetaEpisodes,
    seed: int,
    forward_flops: Callable[[], int] = no_forward_passes,
    memory: Memory = FORGETFUL,
) -> Chosen:
    """The best entry of the family's grid for K = k. Raises IclError as meta-training does. `forward_flops`: see `play`."""
    candidates: list[Trained] = []
    searching = len(family.grid) > 1 and bool(meta.validation)
    for i, settings in enumerate(family.grid if searching else family.grid[:1]):
        course = Course(meta.train[:WATCHED], meta.validation[:WATCHED])
        untrained = family.build(replace(tools, course=course), settings)
        key = f"{untrained.name}/{k}/meta-train/{i}"
        course.place = memory.midway(key)

        def train(untrained: Learner = untrained) -> Learner:
            # The same stream for every entry: they differ in their settings alone.
            return untrained.meta_train(meta.train, keyed_rng(seed, "meta-train", untrained.name, k))

        candidates.append(trained_once(memory, key, untrained, train, course))

    def play_entry(i: int, episode: LearningEpisode) -> Played:
        learner = candidates[i].learner
        key = f"{learner.name}/{k}/search/{i}/{episode.id}"
        return played_once(memory, key, episode, lambda: play(learner, episode, seed, forward_flops))

    rounds = _rounds(play_entry, len(candidates), meta.validation) if searching else []
    tried = [_tried(settings, [played[i] for played in rounds]) for i, settings in enumerate(family.grid)] if searching else []
    best = min(range(len(tried)), key=lambda i: (-tried[i].accuracy, tried[i].nll, i)) if searching else 0
    chosen = candidates[best]
    others = [other for other in candidates if other is not chosen]
    return Chosen(
        learner=chosen.learner,
        settings=asdict(family.grid[best]),
        tried=tuple(tried),
        episodes=len(rounds),
        meta_train_seconds=chosen.seconds,
        search_seconds=sum(map(_seconds, rounds)) + sum(other.seconds for other in others),
        search_flops=sum(map(_flops, rounds)) + sum(other.learner.meta_flops for other in others),
        points=chosen.points,
    )


def _rounds(play_entry: Callable[[int, LearningEpisode], Played], entries: int, episodes: Sequence[LearningEpisode]) -> list[list[Played]]:
    """Per episode that the budget bought: how each entry played it."""
    rounds: list[list[Played]] = []
    left = BUDGET
    for episode in episodes:
        if rounds and _flops(rounds[-1]) > left:
            break
        rounds.append([play_entry(i, episode) for i in range(entries)])
        left -= _flops(rounds[-1])
    return rounds


def _seconds(played: Sequence[Played]) -> float:
    return sum(p.adapt_seconds + p.predict_seconds for p in played)


def _flops(played: Sequence[Played]) -> int:
    return sum(p.adapt_flops + p.predict_flops for p in played)


def _tried(settings: Any, played: list[Played]) -> Tried:
    return Tried(
        settings=asdict(settings),
        accuracy=float(np.mean([p.accuracy for p in played])),
        nll=float(np.mean([p.nll for p in played])),
        failed=sum(bool(p.reason) for p in played),
    )
