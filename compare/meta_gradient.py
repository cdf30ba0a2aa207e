"""Gradients through a loop of gradient steps (Finn et al. 2017), for any network given as a pure function of its parameters.

    inner:  θ'_i = θ − α ∇_θ L(support_i; θ), several times        outer:  ∇_θ mean_i L(query_i; θ'_i)

The inner gradient is a torch.func.grad inside the function that the outer torch.func.grad differentiates, and tasks are a vmap. Second
order is what makes it MAML: unless `first_order` detaches it, the inner gradient's own dependence on θ is differentiated, too. Which
parameters a task moves, and how far, is one mapping of rates: a name that is missing there stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

    Params = dict[str, Tensor]
    Apply = Callable[[Params, Tensor], Tensor]
    """Parameters and inputs (n, …) → outputs (n, …): a plain function, or functional_call of a module."""
    Loss = Callable[[Tensor, Tensor], Tensor]
    """Outputs and targets → a scalar, the mean over the rows."""
    Rates = Mapping[str, float | Tensor]
    """Parameter → its learning rate: a number, or one number per entry."""
    Adapt = Callable[[Params, Tensor, Tensor], Params]
    """What the outer loop moves, and a support set → the parameters adapted to it."""


def cross_entropy(logits: Tensor, classes: Tensor) -> Tensor:
    """(n, labels), (n,) int64 → mean negative log-likelihood."""
    import torch

    return torch.nn.functional.cross_entropy(logits, classes)


def squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """(n, d), (n, d) → mean squared error."""
    error = outputs - targets
    return (error * error).mean()


@dataclass(frozen=True)
class Objective:
    """A network and what it is to make small."""

    apply: Apply
    loss: Loss = cross_entropy
    rows: int | None = None
    """Rows whose inner gradient is taken at once (the mean is the same); None: all. Bounds memory where no outer derivative follows."""

    def __call__(self, params: Params, x: Tensor, y: Tensor) -> Tensor:
        """A scalar."""
        return self.loss(self.apply(params, x), y)


class TaskBatch(NamedTuple):
    """Equally sized tasks, stacked along the first dimension. (A tuple, so that torch's transforms take it apart.)"""

    support_x: Tensor
    """(tasks, n_support, …)"""
    support_y: Tensor
    """(tasks, n_support, …)"""
    query_x: Tensor
    """(tasks, n_query, …)"""
    query_y: Tensor
    """(tasks, n_query, …)"""

    @property
    def tasks(self) -> int:
        """How many."""
        return len(self.support_x)

    def take(self, chosen: Tensor | slice) -> TaskBatch:
        """Some of the tasks."""
        return TaskBatch(*(part[chosen] for part in self))


def descend(
    objective: Objective, params: Params, batches: Sequence[tuple[Tensor, Tensor]], rates: Rates, *, first_order: bool = False
) -> Params:
    """One gradient step per batch on the parameters that have a rate. New tensors; differentiable in `params` and in the rates."""
    for x, y in batches:
        gradient = _inner_gradient(objective, params, rates, x, y)
        if first_order:
            gradient = {name: value.detach() for name, value in gradient.items()}
        params = {**params, **{name: params[name] - rate * gradient[name] for name, rate in rates.items()}}
    return params


def _inner_gradient(objective: Objective, fixed: Params, rates: Rates, x: Tensor, y: Tensor) -> Params:
    """Of the loss, with respect to the parameters that have a rate."""
    import torch
    from torch.func import grad

    def loss(moved: Params, x: Tensor, y: Tensor) -> Tensor:
        return objective({**fixed, **moved}, x, y)

    moved = {name: fixed[name] for name in rates}
    if objective.rows is None or objective.rows >= len(x):
        gradient: Params = grad(loss)(moved, x, y)
        return gradient
    total: Params = {}
    for some_x, some_y in zip(torch.split(x, objective.rows), torch.split(y, objective.rows), strict=True):
        part, share = grad(loss)(moved, some_x, some_y), len(some_x) / len(x)
        total = {name: share * value + (total[name] if total else 0.0) for name, value in part.items()}
    return total


def outer_loss(meta: Params, tasks: TaskBatch, adapt: Adapt, objective: Objective) -> Tensor:
    """Mean over tasks of the query loss after adapting, a scalar."""
    from torch.func import vmap

    def of_one_task(xs: Tensor, ys: Tensor, xq: Tensor, yq: Tensor) -> Tensor:
        return objective(adapt(meta, xs, ys), xq, yq)

    losses: Tensor = vmap(of_one_task)(*tasks)
    return losses.mean()


def meta_gradient(meta: Params, tasks: TaskBatch, adapt: Adapt, objective: Objective, chunk_size: int | None = None) -> Params:
    """Gradient of the outer loss with respect to what all tasks share.

    Memory is that of `chunk_size` tasks at once (None: all of them): each chunk's graph is gone before the next begins.
    """
    from torch.func import grad

    def of_chunk(chunk: TaskBatch) -> Params:
        gradient: Params = grad(outer_loss)(meta, chunk, adapt, objective)
        return gradient

    return _mean_over_chunks(tasks, of_chunk, chunk_size)


def first_order_gradient(meta: Params, tasks: TaskBatch, adapt: Adapt, objective: Objective, chunk_size: int | None = None) -> Params:
    """Mean over tasks of the query loss's gradient at the adapted parameters: what `meta_gradient` is with a first-order `adapt` that moves
    everything, without the outer derivative ever looking at the inner loop. So its memory is that of one gradient.

    `chunk_size`: see `meta_gradient`.
    """
    from torch.func import grad, vmap

    def of_one_task(xs: Tensor, ys: Tensor, xq: Tensor, yq: Tensor) -> Params:
        gradient: Params = grad(objective)(adapt(meta, xs, ys), xq, yq)
        return gradient

    def of_chunk(chunk: TaskBatch) -> Params:
        gradients: Params = vmap(of_one_task)(*chunk)
        return {name: value.mean(dim=0) for name, value in gradients.items()}

    return _mean_over_chunks(tasks, of_chunk, chunk_size)


def _mean_over_chunks(tasks: TaskBatch, of_chunk: Callable[[TaskBatch], Params], chunk_size: int | None) -> Params:
    """`of_chunk`: the mean over its tasks."""
    size = chunk_size or tasks.tasks
    total: Params = {}
    for start in range(0, tasks.tasks, size):
        chunk = tasks.take(slice(start, start + size))
        share = chunk.tasks / tasks.tasks
        total = {name: share * value + (total[name] if total else 0.0) for name, value in of_chunk(chunk).items()}
    return total


def displacement(meta: Params, tasks: TaskBatch, adapt: Adapt, chunk_size: int | None = None) -> Params:
    """Mean over tasks of θ − θ'_i: how far adapting to the support moves, backwards, so that it stands where a gradient would.

    `chunk_size`: see `meta_gradient`.
    """
    from torch.func import vmap

    def of_one_task(xs: Tensor, ys: Tensor) -> Params:
        adapted = adapt(meta, xs, ys)
        return {name: value - adapted[name] for name, value in meta.items()}

    def of_chunk(chunk: TaskBatch) -> Params:
        moved: Params = vmap(of_one_task)(chunk.support_x, chunk.support_y)
        return {name: value.mean(dim=0) for name, value in moved.items()}

    return _mean_over_chunks(tasks, of_chunk, chunk_size)
