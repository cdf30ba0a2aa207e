"""One outer step of MAML on conv4 and 28 × 28 images, ours beside a loop of clones: `python benchmarks/conv4_step.py`.

The loop is what learn2learn's users write: clone the module, adapt the clone, add up query losses, one backward pass. Both programs get the
same network of 64 filters, the same tasks and the same Adam, and first show that their outer step is the same. Rounds go through all
programs in turn; a ratio is the median over rounds of the ratio within one.
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
from compare.backbones.conv4 import BLOCKS, conv4  # noqa: E402
from compare.learners import maml  # noqa: E402
from compare.meta_gradient import TaskBatch, cross_entropy  # noqa: E402
from compare.meta_method import Inner  # noqa: E402
from compare.outer import Adam, meta_step  # noqa: E402
from compare.traced import traced  # noqa: E402
from tasks import keyed_rng  # noqa: E402

SIDE, FILTERS, LR, OUTER_LR = 28, 64, 0.4, 1e-3


def tasks(n: int, ways: int, shots: int, queries: int) -> TaskBatch:
    """Noise of the right shape: no step depends on what the images show."""
    rng = keyed_rng(0, "conv4-step")
    sizes = (ways * shots, ways * queries)
    images = [torch.from_numpy(rng.random((n, size, 1, SIDE, SIDE), dtype=np.float32)) for size in sizes]
    labels = [torch.arange(size).remainder(ways).expand(n, size).contiguous() for size in sizes]
    return TaskBatch(images[0], labels[0], images[1], labels[1])


def start(steps: int, ways: int) -> tuple[Inner, dict[str, torch.Tensor]]:
    """Inner loop and parameters."""
    inner = Inner(conv4(SIDE, filters=FILTERS), LR, steps)
    return inner, inner.backbone.initial(1, ways, np.random.default_rng(0), torch.float32)


class Conv4(torch.nn.Module):
    """The same network of torch's layers."""

    def __init__(self, params: dict[str, torch.Tensor], ways: int) -> None:
        super().__init__()
        layers: list[torch.nn.Module] = []
        for i in range(BLOCKS):
            convolution = torch.nn.Conv2d(1 if i == 0 else FILTERS, FILTERS, 3, padding=1)
            norm = torch.nn.BatchNorm2d(FILTERS, track_running_stats=False)
            for part, names in ((convolution, ("weight", "bias")), (norm, ("scale", "shift"))):
                part.weight.data, part.bias.data = (params[f"body.{i}.{name}"].clone() for name in names)
            layers += [convolution, norm, torch.nn.ReLU(), torch.nn.MaxPool2d(2)]
        head = torch.nn.Linear(FILTERS, ways)
        head.weight.data, head.bias.data = params["head.weight"].clone(), params["head.bias"].clone()
        self.layers = torch.nn.Sequential(*layers, torch.nn.Flatten(), head)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, 1, SIDE, SIDE) → (n, ways)."""
        found: torch.Tensor = self.layers(x)
        return found


def ours(steps: int, ways: int, data: TaskBatch, *, trace: bool) -> Step:
    """vmap over tasks, with or without tracing."""
    inner, params = start(steps, ways)
    step: Any = meta_step(partial(maml.METHOD.direction, inner), Adam(OUTER_LR))
    step = traced(step) if trace else step
    state = Adam(OUTER_LR).start(params)

    def run() -> list[torch.Tensor]:
        nonlocal state
        state = step(state, data)
        return list(state.params.values())

    return run


def with_clones(steps: int, ways: int, data: TaskBatch) -> Step:
    """See the module's opening."""
    network = Conv4(start(steps, ways)[1], ways)
    return outer_step_of(network, data, steps, LR, torch.optim.Adam(network.parameters(), lr=OUTER_LR), cross_entropy)


def measure(steps: int, ways: int, data: TaskBatch, rounds: int, repeats: int) -> dict[str, list[float]]:
    """Program → milliseconds per outer step in each round. Raises ValueError when the programs do not agree."""
    programs = {
        "ours, traced": ours(steps, ways, data, trace=True),
        "ours": ours(steps, ways, data, trace=False),
        "clones": with_clones(steps, ways, data),
    }
    begun = list(start(steps, ways)[1].values())
    first = {name: run() for name, run in programs.items()}
    for name, params in first.items():
        # Adam's first step is lr · sign(g). A bias before a norm has gradient 0: ours stays, that of the clones follows rounding errors.
        pairs = [(a, b) for a, b, old in zip(params, first["ours"], begun, strict=True) if not torch.equal(b, old)]
        apart = [float(((a - b).abs() > OUTER_LR / 2).float().mean()) for a, b in pairs]
        if max(apart) > 0.5:
            raise ValueError(f"{name} must take the same outer step as ours, but {max(apart):.0%} of a parameter went the other way")
    return in_turn(programs, rounds, repeats)


def main(arguments: list[str] | None = None) -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inner-steps", default="1,5")
    parser.add_argument("--tasks", type=int, default=8)
    parser.add_argument("--ways", type=int, default=5)
    parser.add_argument("--shots", type=int, default=1)
    parser.add_argument("--queries", type=int, default=5, help="of every class")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=2, help="outer steps per round")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    data = tasks(options.tasks, options.ways, options.shots, options.queries)
    print("| inner steps | program | ms per outer step | to ours, traced | to ours |\n|---|---|---|---|---|")
    for steps in map(int, options.inner_steps.split(",")):
        measured = measure(steps, options.ways, data, options.rounds, options.repeats)
        for name, values in measured.items():
            ratios = [statistics.median(v / o for v, o in zip(values, measured[to], strict=True)) for to in ("ours, traced", "ours")]
            print(f"| {steps} | {name} | {statistics.median(values):.0f} | {ratios[0]:.2f} | {ratios[1]:.2f} |", flush=True)


if __name__ == "__main__":
    main()
