"""One outer step of the sinusoid study's MAML, ours beside `higher` and beside a loop of clones: `python benchmarks/meta_step.py`.

Every program gets the same network, the same tasks and the same Adam; all first show that their meta-gradient is ours. Rounds go
through all programs in turn, so a machine that slows down slows all of them; a ratio is the median over rounds of the ratio within one.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from compare.backbones import mlp
from compare.learners import maml
from compare.meta_gradient import TaskBatch, squared_error
from compare.meta_method import Inner
from compare.outer import Adam, meta_step
from compare.traced import traced
from tasks import keyed_rng
from tasks.functions import sinusoid

TASKS, SHOTS, HIDDEN, LR, OUTER_LR = 25, 10, 40, 0.01, 1e-3
ORDER = ("body.0.weight", "body.0.bias", "body.1.weight", "body.1.bias", "head.weight", "head.bias")

Step = Callable[[], list[torch.Tensor]]
"""Does one outer step from where the last one stopped; returns the parameters."""


def tasks() -> TaskBatch:
    """A meta-batch of the study, float32."""
    rng = keyed_rng(0, "meta-step")
    functions, x = sinusoid.draw(TASKS, rng), sinusoid.inputs(TASKS, 2 * SHOTS, rng)
    xs, ys = (torch.from_numpy(values).float()[..., None] for values in (x, functions(x)))
    return TaskBatch(xs[:, :SHOTS], ys[:, :SHOTS], xs[:, SHOTS:], ys[:, SHOTS:])


def start(steps: int) -> tuple[Inner, dict[str, torch.Tensor]]:
    """Inner loop and parameters of the study."""
    inner = Inner(mlp((HIDDEN, HIDDEN)), LR, steps, squared_error)
    return inner, inner.backbone.initial(1, 1, np.random.default_rng(0), torch.float32)


def module(params: dict[str, torch.Tensor]) -> torch.nn.Sequential:
    """The same network as torch writes it."""
    widths = (1, HIDDEN, HIDDEN, 1)
    layers: list[torch.nn.Module] = []
    for i in range(3):
        layer = torch.nn.Linear(widths[i], widths[i + 1])
        layer.weight.data, layer.bias.data = (params[name].clone() for name in ORDER[2 * i : 2 * i + 2])
        layers += [layer, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def ours(steps: int, data: TaskBatch, *, trace: bool) -> Step:
    """vmap over tasks, with or without tracing."""
    inner, params = start(steps)
    step: Any = meta_step(partial(maml.METHOD.direction, inner), Adam(OUTER_LR))
    step = traced(step) if trace else step
    state = Adam(OUTER_LR).start(params)

    def run() -> list[torch.Tensor]:
        nonlocal state
        state = step(state, data)
        return [state.params[name] for name in ORDER]

    return run


def with_higher(steps: int, data: TaskBatch) -> Step:
    """`higher` 0.2.1: a functional copy and its differentiable SGD, task by task."""
    import higher

    network = module(start(steps)[1])
    inner, outer = torch.optim.SGD(network.parameters(), lr=LR), torch.optim.Adam(network.parameters(), lr=OUTER_LR)

    def run() -> list[torch.Tensor]:
        outer.zero_grad()
        for xs, ys, xq, yq in zip(*data, strict=True):
            with higher.innerloop_ctx(network, inner, copy_initial_weights=False) as (fast, sgd):
                for _ in range(steps):
                    sgd.step(squared_error(fast(xs), ys))
                (squared_error(fast(xq), yq) / TASKS).backward()
        outer.step()
        return [p.detach() for p in network.parameters()]

    return run


def with_clones(steps: int, data: TaskBatch) -> Step:
    """The loop that learn2learn's users write: clone the module, adapt the clone in place of its parameters, add up query losses."""
    network = module(start(steps)[1])
    outer = torch.optim.Adam(network.parameters(), lr=OUTER_LR)

    def run() -> list[torch.Tensor]:
        outer.zero_grad()
        total = torch.zeros(())
        for xs, ys, xq, yq in zip(*data, strict=True):
            learner = clone(network)
            for _ in range(steps):
                adapt(learner, squared_error(learner(xs), ys), LR)
            total = total + squared_error(learner(xq), yq) / TASKS
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


def measure(steps: int, rounds: int, repeats: int) -> dict[str, list[float]]:
    """Program → milliseconds per outer step in each round. Raises ValueError when the programs do not agree."""
    data = tasks()
    programs = {
        "ours, traced": ours(steps, data, trace=True),
        "ours": ours(steps, data, trace=False),
        "higher": with_higher(steps, data),
        "clones": with_clones(steps, data),
    }
    first = {name: run() for name, run in programs.items()}
    for name, params in first.items():
        difference = max(float((a - b).abs().max()) for a, b in zip(params, first["ours"], strict=True))
        if difference > 2e-5:  # Adam's first step is lr · sign(g): 1e-3 where a gradient's sign differed
            raise ValueError(f"{name} must take the same outer step as ours, but a parameter differs by {difference:.2g}")
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, run in programs.items():
            since = time.perf_counter()
            for _ in range(repeats):
                run()
            seconds[name].append(1000 * (time.perf_counter() - since) / repeats)
    return seconds


def lines(steps: int, measured: dict[str, list[float]]) -> list[str]:
    """Markdown rows: program, milliseconds, how many times as long as ours takes."""
    out = []
    for name, values in measured.items():
        ratio = statistics.median(v / mine for v, mine in zip(values, measured["ours, traced"], strict=True))
        plain = statistics.median(v / mine for v, mine in zip(values, measured["ours"], strict=True))
        out.append(f"| {steps} | {name} | {statistics.median(values):.2f} | {ratio:.1f} | {plain:.1f} |")
    return out


def main(arguments: list[str] | None = None) -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inner-steps", default="1,5")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--repeats", type=int, default=5, help="outer steps per round")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    print("| inner steps | program | ms per outer step | to ours, traced | to ours |\n|---|---|---|---|---|")
    for steps in map(int, options.inner_steps.split(",")):
        print("\n".join(lines(steps, measure(steps, options.rounds, options.repeats))), flush=True)


if __name__ == "__main__":
    main()
