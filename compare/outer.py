"""The outer loop: what is meta-learnt, moved step by step by a pure function, so that it can be kept, resumed and traced.

    Adam (Kingma & Ba 2015):  m ← β₁m + (1−β₁)g,  v ← β₂v + (1−β₂)g²,  θ ← θ − lr · m̂ / (√v̂ + ε)
    annealed:                 θ ← θ − lr (1 − t/T) g

The optimiser holds the very tensors that the inner loops begin from. (A copy that is adapted while the optimiser holds the original is a
widely copied mistake: it updates nothing.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from compare.meta_gradient import Params, TaskBatch

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


class OuterState(NamedTuple):
    """Everything that the next outer step depends on, besides its tasks. (A tuple, so that torch's transforms take it apart.)"""

    step: Tensor
    """Steps done so far, a float64 scalar."""
    params: Params
    first: Params
    """Running mean of the gradient; empty where the optimiser keeps none."""
    second: Params
    """Running mean of its square."""


class Optimiser(Protocol):
    """A rule that moves parameters along a direction."""

    def start(self, params: Params) -> OuterState:
        """The state before the first step."""
        ...

    def step(self, state: OuterState, gradient: Params) -> OuterState:
        """A new state; the old one stays as it is."""
        ...


@dataclass(frozen=True)
class Adam:
    """See the module's opening."""

    lr: float

    def start(self, params: Params) -> OuterState:
        """See Optimiser."""
        import torch

        first, second = ({name: torch.zeros_like(value) for name, value in params.items()} for _ in range(2))
        return OuterState(torch.zeros((), dtype=torch.float64), dict(params), first, second)

    def step(self, state: OuterState, gradient: Params) -> OuterState:
        """See Optimiser."""
        t = state.step + 1
        scale_1, scale_2 = 1 - BETA_1**t, 1 - BETA_2**t
        first = {name: BETA_1 * state.first[name] + (1 - BETA_1) * g for name, g in gradient.items()}
        second = {name: BETA_2 * state.second[name] + (1 - BETA_2) * g * g for name, g in gradient.items()}
        params = {
            name: value - self.lr * (first[name] / scale_1) / ((second[name] / scale_2).sqrt() + EPSILON)
            for name, value in state.params.items()
        }
        return OuterState(t, params, first, second)


@dataclass(frozen=True)
class Annealed:
    """Plain steps whose length falls to 0 in a straight line over `total` steps."""

    lr: float
    total: int

    def start(self, params: Params) -> OuterState:
        """See Optimiser."""
        import torch

        return OuterState(torch.zeros((), dtype=torch.float64), dict(params), {}, {})

    def step(self, state: OuterState, gradient: Params) -> OuterState:
        """See Optimiser."""
        lr = self.lr * (1 - state.step / self.total)
        return OuterState(state.step + 1, {name: value - lr * gradient[name] for name, value in state.params.items()}, {}, {})


Direction = Callable[["Params", "TaskBatch"], "Params"]
"""What is meta-learnt, and some tasks → a gradient, or what stands in its place."""


def meta_step(direction: Direction, optimiser: Optimiser) -> Callable[[OuterState, TaskBatch], OuterState]:
    """One outer step as a pure function of state and tasks."""

    def step(state: OuterState, tasks: TaskBatch) -> OuterState:
        return optimiser.step(state, direction(state.params, tasks))

    return step
