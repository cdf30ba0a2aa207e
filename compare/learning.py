"""Episodes as learners are given them: from what is on disk, and in part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from compare.types import LearningEpisode, Support
from tasks import Episode, Example, Task
from tasks.episodes import support_at


def learning_episode(task: Task, episode: Episode, queries: Sequence[Example], k: int) -> LearningEpisode:
    """The episode at K = k: the same queries for every K."""
    column = {label: j for j, label in enumerate(episode.labels)}
    return LearningEpisode(
        id=episode.id,
        support=Support(episode.id, episode.task, episode.labels, tuple(support_at(episode, task, k))),
        queries=tuple(example.query() for example in queries),
        targets=np.array([column[example.target] for example in queries], dtype=np.int64),
    )


def fewer_queries(episode: LearningEpisode, most: int) -> LearningEpisode:
    """At most so many of its queries, evenly spaced; itself when it has no more."""
    n = len(episode.queries)
    if n <= most:
        return episode
    at = [i * n // most for i in range(most)]
    return replace(episode, queries=tuple(episode.queries[i] for i in at), targets=episode.targets[at])
