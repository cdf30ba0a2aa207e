"""Does a learner read the support, or does it know already what the labels mean? A probe for memorisation (as in Yin et al. 2020).

    support and queries of an episode keep their texts; label j becomes label π(j), in both, where π moves every label (keyed per episode)

A learner that takes from the support what a label stands for is as good as before. One that has memorised the meaning of labels, in
meta-training or before, answers as before and is now wrong: it falls to chance or below it. Between the two lies how much of each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from compare.learners.types import Family
from compare.learning import fewer_queries
from compare.play import Played
from compare.statistics import REFERENCE, accuracy_of
from compare.types import LearningEpisode
from tasks import keyed_rng

EPISODES = 20
"""Of meta-training, and of the test, for learners on features."""
LANGUAGE_EPISODES = 3
LANGUAGE_QUERIES = 20
"""The same, and how many of their queries, for learners that ask the language model."""


@dataclass(frozen=True)
class Pair:
    """Accuracy in the same episodes, as they are and permuted."""

    plain: tuple[float, ...]
    permuted: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        """Means with intervals, and how many episodes."""
        return {
            "episodes": len(self.plain),
            "plain": accuracy_of(self.plain).to_json(),
            "permuted": accuracy_of(self.permuted).to_json(),
        }


@dataclass(frozen=True)
class Probe:
    """What came out for one learner at one K."""

    train: Pair | None
    """On meta-train episodes; None where there are none."""
    test: Pair

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"train": self.train.to_json() if self.train else None, "test": self.test.to_json()}


def is_probed(name: str, family: Family) -> bool:
    """Learners that are meta-trained or cheap, and in-context learning; not those that train the language model anew for every episode."""
    return family.uses_features or family.needs_meta_train or name == REFERENCE


def permuted(episode: LearningEpisode, seed: int) -> LearningEpisode:
    """The episode with other names for its labels, none of which keeps its own."""
    labels = episode.support.labels
    order = keyed_rng(seed, "permuted-labels", episode.support.task, episode.id).permutation(len(labels))
    renamed = np.empty(len(labels), dtype=np.int64)
    renamed[order] = np.roll(order, -1)  # one cycle through all labels
    of = {label: labels[int(renamed[j])] for j, label in enumerate(labels)}
    examples = tuple(replace(example, target=of[example.target]) for example in episode.support.examples)
    return replace(episode, support=replace(episode.support, examples=examples), targets=renamed[episode.targets])


Play = Callable[[str, LearningEpisode], Played]
"""What to call it, and the episode."""


def probe(family: Family, train: Sequence[LearningEpisode], test: Sequence[LearningEpisode], seed: int, play: Play) -> Probe:
    """`train`: meta-train episodes, `test`: those that are compared on."""
    few = [_few(family, episodes) for episodes in (train, test)]
    return Probe(_pair("train", few[0], seed, play) if train else None, _pair("test", few[1], seed, play))


def _few(family: Family, episodes: Sequence[LearningEpisode]) -> list[LearningEpisode]:
    if family.uses_features:
        return list(episodes[:EPISODES])
    return [fewer_queries(episode, LANGUAGE_QUERIES) for episode in episodes[:LANGUAGE_EPISODES]]


def _pair(part: str, episodes: Sequence[LearningEpisode], seed: int, play: Play) -> Pair:
    plain = tuple(play(f"{part}-plain", episode).accuracy for episode in episodes)
    return Pair(plain, tuple(play(f"{part}-permuted", permuted(episode, seed)).accuracy for episode in episodes))
