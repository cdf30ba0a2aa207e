"""The loop of outer steps, for all learners that are meta-trained on tensors: measured along the way, kept, and gone on with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from compare.course import POINTS, Course
from compare.features import Features
from compare.learners.tensors import task_tensors
from compare.memory import Chunks
from compare.standardise import Standardiser
from compare.types import LearningEpisode

if TYPE_CHECKING:
    from compare.meta_gradient import Adapt, Apply, Params, TaskBatch
    from compare.outer import OuterState

Accuracies = Callable[["Params", Sequence[LearningEpisode]], Sequence[float]]
"""What is meta-learnt, and episodes → accuracy of each after adapting to its support."""


def outer_loop(
    course: Course,
    state: OuterState,
    steps: int,
    rng: np.random.Generator,
    chunks: Chunks,
    one_step: Callable[[OuterState], OuterState],
    accuracies: Accuracies,
    own: dict[str, Any] | None = None,
    points: int = POINTS,
) -> OuterState:
    """The state after `steps` outer steps. `one_step` draws its tasks from `rng`, computes in `chunks`, may write to `own` (plain values,
    which are kept with the state), and depends on nothing else. `points`: how often it is measured."""
    own = {} if own is None else own
    own["chunk_size"] = chunks.size
    state = course.resumed(state, rng, own)
    chunks.size = own["chunk_size"]

    def watch(state: OuterState) -> None:
        course.watch(int(state.step), steps, lambda episodes: accuracies(state.params, episodes), points)

    watch(state)
    while int(state.step) < steps:
        state = one_step(state)
        watch(state)
        if course.due:
            course.keep(state, rng, {**own, "chunk_size": chunks.size})
    course.end = state
    return state


def by_adapting(features: Features, standardiser: Standardiser, adapt: Adapt, apply: Apply) -> Accuracies:
    """`adapt`, `apply`: pure functions, through which equally sized episodes go together. An episode that diverges counts as chance."""
    known: dict[tuple[str, ...], TaskBatch] = {}

    def accuracies(meta: Params, episodes: Sequence[LearningEpisode]) -> list[float]:
        ids = tuple(episode.id for episode in episodes)
        if ids not in known:  # the same few episodes at every point of a training
            known[ids] = task_tensors(features, standardiser, episodes)
        return accuracies_of(meta, known[ids], adapt, apply, len(episodes[0].support.labels))

    return accuracies


def accuracies_of(meta: Params, tasks: TaskBatch, adapt: Adapt, apply: Apply, labels: int) -> list[float]:
    """Share of right queries, task by task."""
    import torch

    def logits(xs: torch.Tensor, ys: torch.Tensor, xq: torch.Tensor) -> torch.Tensor:
        return apply(adapt(meta, xs, ys), xq)

    with torch.no_grad():
        found = torch.func.vmap(logits)(tasks.support_x, tasks.support_y, tasks.query_x)  # (tasks, queries, labels)
    right = (found.argmax(dim=-1) == tasks.query_y).double().mean(dim=1)
    whole = found.isfinite().flatten(1).all(dim=1)
    out: list[float] = right.where(whole, torch.full_like(right, 1.0 / labels)).tolist()
    return out
