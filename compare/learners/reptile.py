"""Reptile (Nichol et al. 2018): go where adapting leads. No gradient is taken through an inner loop, and nothing is held out.

    inner:  θ'_i = SGD(θ, minibatches of task i's rows)      outer:  θ ← θ + ε mean_i (θ'_i − θ),   ε falling to 0

Support and queries of a meta-train task are pooled and shuffled. Each inner step takes its own minibatch: the products of gradients of
different minibatches are what makes Reptile more than training on all tasks jointly (with one inner step it would be just that). A new
task is adapted to with the whole support in every step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from compare.learners.head import HeadLearner, Settings, grid
from compare.learners.types import Tools
from compare.meta_gradient import TaskBatch, descend, displacement
from compare.meta_method import Inner, Method
from compare.outer import Annealed

if TYPE_CHECKING:
    from torch import Tensor

    from compare.meta_gradient import Params


def adapt(inner: Inner, meta: Params, x: Tensor, y: Tensor) -> Params:
    """Gradient descent on the whole support set."""
    return descend(inner.objective, meta, [(x, y)] * inner.steps, dict.fromkeys(meta, inner.lr), first_order=True)


def arrange(inner: Inner, tasks: TaskBatch, rng: np.random.Generator) -> TaskBatch:
    """Each task's rows, shuffled anew as often as the inner steps' minibatches need; no queries are left."""
    import torch

    x = torch.cat([tasks.support_x, tasks.query_x], dim=1)
    y = torch.cat([tasks.support_y, tasks.query_y], dim=1)
    rows = x.shape[1]
    size = min(inner.batch or rows, rows)
    wanted = inner.steps * size
    order = np.stack([np.concatenate([rng.permutation(rows) for _ in range(-(-wanted // rows))])[:wanted] for _ in range(len(x))])
    at = torch.from_numpy(order)
    task = torch.arange(len(x))[:, None]
    return TaskBatch(x[task, at], y[task, at], tasks.query_x[:, :0], tasks.query_y[:, :0])


def outer(inner: Inner, meta: Params, tasks: TaskBatch) -> Params:
    """Mean displacement, backwards; the arranged rows are cut into one minibatch per inner step."""
    size = tasks.support_x.shape[1] // inner.steps

    def along(params: Params, x: Tensor, y: Tensor) -> Params:
        batches = [(x[i * size : (i + 1) * size], y[i * size : (i + 1) * size]) for i in range(inner.steps)]
        return descend(inner.objective, params, batches, dict.fromkeys(params, inner.lr), first_order=True)

    return displacement(meta, tasks, along, inner.chunk_size)


METHOD = Method("reptile", adapt, second_order=False, arrange=arrange, outer=outer, optimiser=Annealed)
GRID = grid(outer_lr=(1.0,))


def build(tools: Tools, settings: Settings) -> HeadLearner:
    """An untrained meta-learner."""
    return HeadLearner(tools, settings, METHOD)
