"""Meta-train episodes as tensors, and the tasks of each outer step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from compare.features import Features
from compare.meta_gradient import TaskBatch
from compare.standardise import Standardiser
from compare.types import LearningEpisode
from tasks import Query

if TYPE_CHECKING:
    from torch import Tensor

META_BATCH = 8
"""Tasks (episodes) of one outer step."""


def task_tensors(features: Features, standardiser: Standardiser, episodes: Sequence[LearningEpisode]) -> TaskBatch:
    """All episodes, stacked; vectors float64."""
    import torch

    def stack(task_queries: list[tuple[str, Sequence[Query]]]) -> Tensor:
        return torch.from_numpy(np.stack([standardiser(features.vectors(task, queries)) for task, queries in task_queries]))

    return TaskBatch(
        stack([(e.support.task, e.support.queries) for e in episodes]),
        torch.from_numpy(np.stack([e.support.targets for e in episodes])),
        stack([(e.support.task, e.queries) for e in episodes]),
        torch.from_numpy(np.stack([e.targets for e in episodes])),
    )


def arbitrary_labels(episodes: Sequence[LearningEpisode]) -> int:
    """How many labels each episode has, if what a column means differs between episodes; 0 where it means the same in all of them."""
    return len(episodes[0].support.labels) if len({episode.support.labels for episode in episodes}) > 1 else 0


def meta_batches(data: TaskBatch, permuted: int, rng: np.random.Generator) -> Iterator[TaskBatch]:
    """Of each outer step, drawn when it is asked for; `permuted`: number of labels whose columns are renamed task by task, 0 for none."""
    import torch

    while True:
        chosen = rng.choice(data.tasks, size=min(META_BATCH, data.tasks), replace=False)
        tasks = data.take(torch.from_numpy(chosen))
        yield with_permuted_labels(tasks, permuted, rng) if permuted else tasks


def with_permuted_labels(tasks: TaskBatch, labels: int, rng: np.random.Generator) -> TaskBatch:
    """Every task's class numbers renamed by a permutation of its own, in support and queries alike."""
    import torch

    renamed = torch.from_numpy(np.stack([rng.permutation(labels) for _ in range(tasks.tasks)]))
    return tasks._replace(support_y=renamed.gather(1, tasks.support_y), query_y=renamed.gather(1, tasks.query_y))
