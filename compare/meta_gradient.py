"""Gradients through a loop of gradient steps (Finn et al. 2017), for any model given as a pure function of its parameters.

    inner:  θ'_i = θ − α ∇_θ L(support_i; θ), `steps` times        outer:  ∇_θ mean_i L(query_i; θ'_i)

The inner gradient is a torch.func.grad inside the function that the outer torch.func.grad differentiates, and tasks are a vmap. Second
order is what makes it MAML: unless `first_order` detaches it, the inner gradient's own dependence on θ is differentiated, too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    Params = dict[str, Tensor]
    Apply = Callable[[Params, Tensor], Tensor]
    """Parameters and inputs (n, width) → logits (n, labels): a plain function, or functional_call of a module."""


@dataclass(frozen=True)
class InnerLoop:
    """How a task is adapted to."""

    apply: Apply
    lr: float
    steps: int
    first_order: bool = False

    def loss(self, params: Params, x: Tensor, y: Tensor) -> Tensor:
        """Mean cross-entropy over the rows, a scalar."""
        import torch

        return torch.nn.functional.cross_entropy(self.apply(params, x), y)

    def __call__(self, params: Params, x: Tensor, y: Tensor) -> Params:
        """Gradient descent on the support set. New tensors, differentiable in `params`."""
        from torch.func import grad

        for _ in range(self.steps):
            gradient = grad(self.loss)(params, x, y)
            if self.first_order:
                gradient = {name: value.detach() for name, value in gradient.items()}
            params = {name: value - self.lr * gradient[name] for name, value in params.items()}
        return params


@dataclass(frozen=True)
class TaskBatch:
    """Equally sized tasks, stacked along the first dimension."""

    support_x: Tensor
    """(tasks, n_support, width)"""
    support_y: Tensor
    """(tasks, n_support), int64"""
    query_x: Tensor
    """(tasks, n_query, width)"""
    query_y: Tensor
    """(tasks, n_query), int64"""

    def __len__(self) -> int:
        return len(self.support_x)

    def take(self, chosen: Tensor) -> TaskBatch:
        """Some of the tasks."""
        return TaskBatch(self.support_x[chosen], self.support_y[chosen], self.query_x[chosen], self.query_y[chosen])


def outer_loss(params: Params, batch: TaskBatch, inner: InnerLoop) -> Tensor:
    """Mean over tasks of the query loss after the inner loop, a scalar."""
    from torch.func import vmap

    def of_one_task(xs: Tensor, ys: Tensor, xq: Tensor, yq: Tensor) -> Tensor:
        return inner.loss(inner(params, xs, ys), xq, yq)

    losses: Tensor = vmap(of_one_task)(batch.support_x, batch.support_y, batch.query_x, batch.query_y)
    return losses.mean()


def meta_gradient(params: Params, batch: TaskBatch, inner: InnerLoop) -> Params:
    """Gradient of the outer loss with respect to the start that all inner loops share."""
    from torch.func import grad

    gradient: Params = grad(outer_loss)(params, batch, inner)
    return gradient


def outer_loop(
    params: Params, data: TaskBatch, inner: InnerLoop, *, lr: float, steps: int, meta_batch: int, rng: np.random.Generator
) -> Params:
    """Adam over the shared start, `meta_batch` tasks a step. Returns the moved start and leaves `params` as it was.

    The optimiser holds the very tensors that the inner loops begin from. (A copy that is adapted while the optimiser holds the original is
    a widely copied mistake: it updates nothing.)
    """
    import torch

    moving = {name: value.clone() for name, value in params.items()}
    optimiser: Any = torch.optim.Adam(list(moving.values()), lr=lr)
    for _ in range(steps):
        chosen = rng.choice(len(data), size=min(meta_batch, len(data)), replace=False)
        gradient = meta_gradient(moving, data.take(torch.from_numpy(chosen)), inner)
        for name, value in moving.items():
            value.grad = gradient[name]
        optimiser.step()
    return {name: value.detach() for name, value in moving.items()}
