"""The sinusoid regression of Finn et al. 2017 in full: five meta-learners, an oracle and joint pre-training.

    python studies/sinusoid.py                                   # trains what is not trained yet, then prints the table
    python studies/sinusoid.py --docs docs/studies               # the same, and writes table, numbers and plot there
    python studies/sinusoid.py --learners maml --steps 2000      # a part of it

Every training is one file of `--out`, kept every KEEP_EVERY steps; after a kill the same command goes on and ends in the same bytes. All
draws are keyed by (seed, purpose, step), so where a training stands is its step number.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import NDArray
from sinusoid_report import print_table, write_docs

from compare.backbones import mlp
from compare.checkpoint import load_state, save_state
from compare.learners import anil, fomaml, maml, meta_sgd, reptile
from compare.meta_gradient import TaskBatch, squared_error
from compare.meta_method import Inner, Method
from compare.outer import OuterState, meta_step
from compare.traced import traced
from tasks import IclError, keyed_rng
from tasks.functions import sinusoid

if TYPE_CHECKING:
    from compare.meta_gradient import Params

META_BATCH = 25
HIDDEN = (40, 40)
KEEP_EVERY = 1000
TEST_TASKS, VALIDATION_TASKS, TEST_POINTS = 600, 200, 100
AFTER = tuple(range(11))
"""Inner steps after which the error is measured."""
PRETRAINED_RATES = (0.001, 0.003, 0.01, 0.03, 0.1)
"""Inner learning rates for the jointly pre-trained network, which has none of its own; chosen on validation tasks."""


@dataclass(frozen=True)
class Contender:
    """One line of the table."""

    method: Method
    inner_lr: float = 0.01
    inner_steps: int = 1
    outer_lr: float = 0.001
    query_points: int | None = None
    """Meta-train points beside the support; None: as many as in the support."""
    batch: int | None = None
    told: bool = False
    """Whether amplitude and phase are inputs, beside x."""

    @property
    def inner(self) -> Inner:
        """How it adapts in meta-training."""
        return Inner(mlp(HIDDEN), self.inner_lr, self.inner_steps, squared_error, self.batch)


CONTENDERS = {
    "oracle": Contender(maml.METHOD, inner_steps=0, told=True),
    "joint": Contender(maml.METHOD, inner_steps=0),
    "maml": Contender(maml.METHOD),
    "fomaml": Contender(fomaml.METHOD),
    "reptile": Contender(reptile.METHOD, inner_steps=5, outer_lr=1.0, query_points=40, batch=10),
    "anil": Contender(anil.METHOD),
    "meta-sgd": Contender(meta_sgd.METHOD),
}
"""MAML without an inner step is joint training on all tasks; told amplitude and phase, it is the oracle."""


@dataclass(frozen=True)
class Training:
    """One contender's training."""

    name: str
    shots: int
    steps: int
    seed: int

    @property
    def contender(self) -> Contender:
        """The line of the table."""
        return CONTENDERS[self.name]

    def facts(self) -> dict[str, Any]:
        """What decides the result; a state with other facts is another training's."""
        c = self.contender
        settings = {name: value for name, value in asdict(replace(c, method=None)).items() if name != "method"}  # type: ignore[arg-type]
        return {**asdict(self), **settings, "meta_batch": META_BATCH, "hidden": list(HIDDEN), "keep_every": KEEP_EVERY}

    def tasks(self, purpose: str, item: int, n: int, points: int) -> TaskBatch:
        """n drawn tasks with `shots` support and so many query points, float32."""
        rng = keyed_rng(self.seed, "sinusoid", purpose, item)
        functions = sinusoid.draw(n, rng)
        x = sinusoid.inputs(n, self.shots + points, rng)
        y = torch.from_numpy(functions(x)).float()[..., None]
        seen = torch.from_numpy(x).float()[..., None]
        if self.contender.told:
            truth = torch.from_numpy(functions.amplitude), torch.from_numpy(functions.phase)
            seen = torch.cat([seen, *(value.float()[:, None, None].expand(n, x.shape[1], 1) for value in truth)], dim=-1)
        k = self.shots
        return TaskBatch(seen[:, :k], y[:, :k], seen[:, k:], y[:, k:])

    def start(self) -> OuterState:
        """Before the first step."""
        c = self.contender
        network = c.inner.backbone.initial(3 if c.told else 1, 1, keyed_rng(self.seed, "sinusoid", "start"), torch.float32)
        return c.method.optimiser(c.outer_lr, self.steps).start(c.method.begin(c.inner, network))

    def run(self, path: Path) -> tuple[OuterState, list[list[float]]]:
        """Goes on from what is kept in `path`, to the end. Returns the final state and the validation curve: [step, MSE after one step]."""
        c, facts, curve = self.contender, self.facts(), list[list[float]]()
        state = self.start()
        if path.exists():
            state, kept = load_state(path)
            curve = kept.pop("curve")
            if kept != facts:
                different = ", ".join(name for name in facts if kept.get(name) != facts[name])
                raise IclError(f"{path} is the state of another training (other {different}); remove it, or name another --out")
        step = traced(meta_step(partial(c.method.direction, c.inner), c.method.optimiser(c.outer_lr, self.steps)))
        points = self.shots if c.query_points is None else c.query_points
        since = time.monotonic()
        while (done := int(state.step)) < self.steps:
            tasks = self.tasks("train", done, META_BATCH, points)
            state = step(state, c.method.arrange(c.inner, tasks, keyed_rng(self.seed, "sinusoid", "arrange", done)))
            done += 1
            if done % KEEP_EVERY == 0 or done == self.steps:
                error = float(self.errors(state.params, "validation", VALIDATION_TASKS, c.inner_lr)[1].mean())
                if not math.isfinite(error):
                    raise IclError(f"the training of {self.name} diverged before step {done}: its validation error is {error}")
                curve.append([done, error])
                save_state(path, state, {**facts, "curve": curve})
                print(
                    f"{self.name:9} step {done:6} validation MSE {error:.3f} {time.monotonic() - since:7.0f} s", file=sys.stderr, flush=True
                )
        return state, curve

    def errors(self, meta: Params, purpose: str, n: int, lr: float) -> NDArray[Any]:
        """Mean squared error on TEST_POINTS points: (len(AFTER), n tasks). After s steps: adapted with s inner steps."""
        tasks = self.tasks(purpose, 0, n, TEST_POINTS)
        c = self.contender

        def of_one_task(xs: Any, ys: Any, xq: Any, yq: Any) -> Any:
            inners = [replace(c.inner, lr=lr, steps=0 if c.told else s) for s in AFTER]
            return torch.stack([inner.objective(c.method.adapt(inner, meta, xs, ys), xq, yq) for inner in inners])

        with torch.no_grad():
            return torch.func.vmap(of_one_task)(*tasks).T.double().numpy()

    def test(self, meta: Params) -> tuple[float, NDArray[Any]]:
        """The inner learning rate of the test, and the errors on test tasks."""
        lr = self.contender.inner_lr
        if self.name == "joint":
            lr = min(PRETRAINED_RATES, key=lambda rate: float(self.errors(meta, "validation", VALIDATION_TASKS, rate)[-1].mean()))
        return lr, self.errors(meta, "test", TEST_TASKS, lr)


def main(arguments: list[str] | None = None) -> None:
    """Trains, tests, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--learners", default=",".join(CONTENDERS), help="comma-separated")
    parser.add_argument("--shots", type=int, default=5, help="support points, in meta-training and test")
    parser.add_argument("--steps", type=int, default=70_000, help="outer steps")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/sinusoid"), help="where training states are kept")
    parser.add_argument("--docs", type=Path, help="directory that gets table, numbers and plot")
    options = parser.parse_args(arguments)
    names = options.learners.split(",")
    if unknown := [name for name in names if name not in CONTENDERS]:
        parser.error(f"unknown learner {', '.join(unknown)}; choose from {', '.join(CONTENDERS)}")
    torch.set_num_threads(1)  # the products are small: a second thread only waits
    results = []
    for name in names:
        training = Training(name, options.shots, options.steps, options.seed)
        try:
            state, curve = training.run(options.out / f"{name}-{options.shots}-shot.safetensors")
        except IclError as error:
            sys.exit(f"sinusoid: {error}")
        lr, errors = training.test(state.params)
        results.append({**training.facts(), "test_lr": lr, "curve": curve, "errors": errors})
    print_table(results)
    if options.docs:
        write_docs(results, options.docs)


if __name__ == "__main__":
    main()
