"""One outer step of the sinusoid study's MAML, ours beside `higher` and beside a loop of clones: `python benchmarks/meta_step.py`.

Every program gets the same network, the same tasks and the same Adam; all first show that their meta-gradient is ours. Rounds go
through all programs in turn, so a machine that slows down slows all of them; a ratio is the median over rounds of the ratio within one.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

REPOSITORY = Path(__file__).resolve().parent.parent
if str(REPOSITORY) not in sys.path:  # run as a script, Python looks beside it only
    sys.path.insert(0, str(REPOSITORY))

from benchmarks.clones import Step, in_turn, outer_step_of  # noqa: E402
from compare.backbones import mlp  # noqa: E402
from compare.learners import maml  # noqa: E402
from compare.meta_gradient import TaskBatch, squared_error  # noqa: E402
from compare.meta_method import Inner  # noqa: E402
from compare.outer import Adam, meta_step  # noqa: E402
from compare.traced import traced  # noqa: E402
from tasks import keyed_rng  # noqa: E402
from tasks.functions import sinusoid  # noqa: E402

TASKS, SHOTS, HIDDEN, LR, OUTER_LR = 25, 10, 40, 0.01, 1e-3
ORDER = ("body.0.weight", "body.0.bias", "body.1.weight", "body.1.bias", "head.weight", "head.bias")


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
    """The loop that learn2learn's users write."""
    network = module(start(steps)[1])
    return outer_step_of(network, data, steps, LR, torch.optim.Adam(network.parameters(), lr=OUTER_LR), squared_error)


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
    return in_turn(programs, rounds, repeats)


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
