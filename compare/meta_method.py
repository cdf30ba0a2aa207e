"""What tells one gradient-based meta-learner from another: how it adapts, and where its outer loop goes. Each learner's file holds one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from compare.backbones.types import Backbone
from compare.meta_gradient import Objective, cross_entropy, meta_gradient
from compare.outer import Adam, Optimiser

if TYPE_CHECKING:
    from torch import Tensor

    from compare.meta_gradient import Loss, Params, TaskBatch


@dataclass(frozen=True)
class Inner:
    """How a task is adapted to, whatever the method."""

    backbone: Backbone
    lr: float
    steps: int
    loss: Loss = cross_entropy
    batch: int | None = None
    """Rows of one inner step of meta-training, for methods that draw minibatches; None: all rows."""
    chunk_size: int | None = None
    """Tasks whose graphs are in memory at once; None: the whole meta-batch."""
    rows: int | None = None
    """Rows of a task whose inner gradient is taken at once; None: all."""

    @property
    def objective(self) -> Objective:
        """The whole network and the loss."""
        return Objective(self.backbone, self.loss, self.rows)


def unchanged(inner: Inner, params: Params) -> Params:
    """The outer loop moves the network's own parameters."""
    return params


def as_drawn(inner: Inner, tasks: TaskBatch, rng: np.random.Generator) -> TaskBatch:
    """Support and queries as they are."""
    return tasks


def all_of_them(names: Sequence[str]) -> Sequence[str]:
    """Every parameter."""
    return names


def adam(lr: float, steps: int) -> Optimiser:
    """Adam, whatever the number of steps."""
    return Adam(lr)


AdaptBy = Callable[[Inner, "Params", "Tensor", "Tensor"], "Params"]


@dataclass(frozen=True)
class Method:
    """See the module's opening. All parts are pure functions."""

    name: str
    adapt: AdaptBy
    """Inner loop from what is meta-learnt, on a support set; also what is done with a new task."""
    second_order: bool
    """Whether the meta-gradient runs through the inner gradients."""
    moved: Callable[[Sequence[str]], Sequence[str]] = all_of_them
    """Names of a network's parameters → those that adapting moves."""
    begin: Callable[[Inner, Params], Params] = unchanged
    """Fresh parameters of the network → what the outer loop moves."""
    arrange: Callable[[Inner, TaskBatch, np.random.Generator], TaskBatch] = as_drawn
    """The drawn tasks → the tasks as the outer step takes them."""
    outer: Callable[[Inner, Params, TaskBatch], Params] | None = None
    """Direction of the outer step; None: the gradient of the query loss after adapting."""
    optimiser: Callable[[float, int], Optimiser] = adam
    """Outer rate and number of outer steps → the rule that follows the direction."""

    def direction(self, inner: Inner, meta: Params, tasks: TaskBatch) -> Params:
        """Where the outer loop goes from here, as a gradient."""
        if self.outer is not None:
            return self.outer(inner, meta, tasks)
        return meta_gradient(meta, tasks, partial(self.adapt, inner), inner.objective, inner.chunk_size)
