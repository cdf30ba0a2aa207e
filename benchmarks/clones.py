"""The loop of clones that the outer steps are measured against, and rounds in which programs take turns.

It is what learn2learn's users write: clone the module, adapt the clone in place of its parameters, add up query losses, one backward pass.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

from compare.meta_gradient import TaskBatch

Step = Callable[[], list[torch.Tensor]]
"""Does one outer step from where the last one stopped; returns the parameters."""
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def outer_step_of(network: torch.nn.Module, data: TaskBatch, steps: int, lr: float, outer: torch.optim.Optimizer, loss: Loss) -> Step:
    """See the module's opening; `steps` and `lr` are those of the inner loop."""

    def run() -> list[torch.Tensor]:
        outer.zero_grad()
        total = torch.zeros(())
        for xs, ys, xq, yq in zip(*data, strict=True):
            learner = clone(network)
            for _ in range(steps):
                adapt(learner, loss(learner(xs), ys), lr)
            total = total + loss(learner(xq), yq) / data.tasks
        total.backward()
        outer.step()
        return [p.detach() for p in network.parameters()]

    return run


def clone(network: torch.nn.Module) -> torch.nn.Module:
    """A copy of the module tree whose parameters are clones, still attached to the graph of the originals."""
    shared: dict[int, Any] = {id(p): p for p in network.parameters()}
    copied: torch.nn.Module = copy.deepcopy(network, shared)  # modules are new, the parameters in them are the originals
    for part in copied.modules():
        for name, value in list(part._parameters.items()):
            if value is not None:
                del part._parameters[name]
                setattr(part, name, value.clone())
    return copied


def adapt(learner: torch.nn.Module, loss: torch.Tensor, lr: float) -> None:
    """One step of gradient descent, written into the clone, kept differentiable."""
    places = [(part, name) for part in learner.modules() for name in ("weight", "bias") if hasattr(part, name)]
    gradient = torch.autograd.grad(loss, [getattr(part, name) for part, name in places], create_graph=True)
    for (part, name), g in zip(places, gradient, strict=True):
        setattr(part, name, getattr(part, name) - lr * g)


def in_turn(programs: Mapping[str, Step], rounds: int, repeats: int) -> dict[str, list[float]]:
    """Program → milliseconds per outer step in each round."""
    taken: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, run in programs.items():
            since = time.perf_counter()
            for _ in range(repeats):
                run()
            taken[name].append(1000 * (time.perf_counter() - since) / repeats)
    return taken
