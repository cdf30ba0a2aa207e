"""Trained learners on episodes: many at a time, adapted and asked apart, so that both can be timed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from compare.images.learners.types import ImageLearner

if TYPE_CHECKING:
    from torch import Tensor

    from compare.meta_gradient import Params, TaskBatch

CHUNK = 20
"""Episodes at a time. Part of the result's last bits, so it is fixed."""

Array = NDArray[Any]


@dataclass(frozen=True)
class Answers:
    """Of some episodes."""

    scores: list[Array]
    """Of each episode: log-probabilities, float32 (queries, ways); those of an episode that failed are not finite."""
    adapt_seconds: float
    predict_seconds: float


def answer(learner: ImageLearner, meta: Params, tasks: TaskBatch) -> Answers:
    """All episodes at once: they are equally large."""
    import torch
    from torch.func import vmap

    with torch.no_grad():
        times = [time.perf_counter()]
        kept: Params = vmap(lambda x, y: learner.adapt(meta, x, y))(tasks.support_x, tasks.support_y)
        times.append(time.perf_counter())
        scores: Tensor = vmap(lambda of, x: learner.predict(meta, of, x))(kept, tasks.query_x)
        found = list(scores.float().cpu().numpy())
        times.append(time.perf_counter())
    return Answers(found, times[1] - times[0], times[2] - times[1])


def right(scores: Array, targets: Array) -> float:
    """Share of right answers in an episode; chance when its scores are not finite."""
    return 1.0 / scores.shape[-1] if failed(scores) else float((scores.argmax(axis=-1) == targets).mean())


def failed(scores: Array) -> bool:
    """Whether any score of an episode is not a number, or infinitely good."""
    return bool((np.isnan(scores) | np.isposinf(scores)).any())


def accuracy(learner: ImageLearner, meta: Params, tasks: TaskBatch, targets: Array | None = None) -> float:
    """Mean over all episodes, CHUNK of them at a time. `targets` of None: the tasks' own."""
    wanted = tasks.query_y.cpu().numpy() if targets is None else targets
    scores: list[Array] = []
    for start in range(0, tasks.tasks, CHUNK):
        scores += answer(learner, meta, tasks.take(slice(start, start + CHUNK))).scores
    return float(np.mean([right(of, y) for of, y in zip(scores, wanted, strict=True)]))
