"""In-context linear regression (Garg et al. 2022): a transformer trained on sequences of points, and least squares.

    python studies/linear_regression.py                          # d = 5; trains what is not trained yet, then prints the tables
    python studies/linear_regression.py --docs docs/studies      # the same, and writes tables, numbers and plot there
    python studies/linear_regression.py --d 20 --steps 20000     # as far as time goes

The training is one file of `--out`, kept every KEEP_EVERY steps; after a kill the same command goes on and ends in the same bytes.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from linear_regression_report import print_tables, write_docs
from numpy.typing import NDArray

from compare.backbones import mlp
from compare.baselines import NearestNeighbours, Ridge, averaging, errors_along, least_squares
from compare.sequence import InContextTransformer, SequenceModel, Sequences, Training, along
from compare.sequence.optimise import WarmAdam
from tasks import IclError, keyed_rng
from tasks.functions import SHIFTS, Points, get_shift, sample

if TYPE_CHECKING:
    from compare.meta_gradient import Params

BATCH = 64
KEEP_EVERY = 500
TEST_FUNCTIONS = 1280
FIRST_D = 5
"""Dimensions with which a curriculum begins; every other one is 0 until it is its turn."""
BASELINES = {"least squares": least_squares, "ridge": Ridge(1.0), "3 nearest": NearestNeighbours(3), "averaging": averaging}


@dataclass(frozen=True)
class Setting:
    """One training, but for the class of functions."""

    d: int
    steps: int
    lr: float = 2e-3
    width: int = 64
    layers: int = 3
    heads: int = 2
    batch: int = BATCH
    seed: int = 0

    @property
    def points(self) -> int:
        """2d pairs are shown before the last point is asked."""
        return 2 * self.d + 1

    @property
    def model(self) -> SequenceModel:
        """The in-context transformer."""
        return SequenceModel("in-context-transformer", InContextTransformer(self.points, self.width, self.layers, self.heads), mlp(()))

    def in_use(self, step: int) -> int:
        """Dimensions that are not 0 in this step: from FIRST_D to all of them over the first third of the steps (Garg et al. 2022)."""
        grown = FIRST_D + int((self.d - FIRST_D + 1) * 3 * step / self.steps)
        return min(self.d, grown)

    def draw(self, step: int) -> Sequences:
        """Training sequences of a step: as many dimensions, and twice as many points, as are in use."""
        d = self.in_use(step)
        points = sample("linear", self.batch, 2 * d + 1, self.d, keyed_rng(self.seed, "linear-regression", "train", step))
        if d == self.d:
            return Sequences(*(torch.from_numpy(part).float() for part in (points.x, points.y)))
        x = points.x * (np.arange(self.d) < d)
        weights = sample("linear", self.batch, 1, d, keyed_rng(self.seed, "linear-regression", "fewer", step))
        y = np.einsum("fpd,fd->fp", x[..., :d], weights.x[:, 0])  # a point and a weight vector have the same distribution
        return Sequences(torch.from_numpy(x).float(), torch.from_numpy(y).float())

    def training(self) -> Training:
        """Everything that decides the result."""
        optimiser = WarmAdam(self.lr, self.steps)
        return Training(self.model, self.d, self.draw, optimiser, {**asdict(self), "warm": optimiser.warm}, self.seed, KEEP_EVERY)

    def test_points(self, shift: str) -> Points:
        """Functions that training has not seen, moved by a shift."""
        rng = keyed_rng(self.seed, "linear-regression", "test", shift)
        return sample("linear", TEST_FUNCTIONS, self.points, self.d, rng, shift=shift)

    def mean_square(self, shift: str) -> float:
        """Of y under a shift: the error of always saying 0."""
        of = get_shift(shift)
        return self.d * (of.input_scale * of.target_scale) ** 2 + of.noise**2


def transformer_errors(model: SequenceModel, params: Params, points: Points) -> NDArray[np.float64]:
    """Squared errors, (functions, n). Where other points are asked than shown, each position is a pass of its own."""

    def said(x: Any, y: Any) -> NDArray[np.float64]:
        with torch.no_grad():
            parts = [
                along(model, params, Sequences(*(torch.from_numpy(v[i : i + 64]).float() for v in (x, y)))) for i in range(0, len(x), 64)
            ]
        out: NDArray[np.float64] = torch.cat(parts)[..., 0].double().numpy()
        return out

    x, y, asked_x, asked_y = points
    if asked_x is x:
        return (said(x, y) - y) ** 2
    errors = np.empty_like(y)
    for i in range(x.shape[1]):
        seen = np.concatenate([x[:, :i], asked_x[:, i : i + 1]], axis=1)
        errors[:, i] = (said(seen, y[:, : i + 1])[:, i] - asked_y[:, i]) ** 2
    return errors


def measure(setting: Setting, params: Params) -> dict[str, Any]:
    """Shift → learner → errors along the sequence, (functions, n), as shares of the error of always saying 0."""
    out: dict[str, Any] = {}
    for shift in SHIFTS:
        points = setting.test_points(shift)
        errors = {"transformer": transformer_errors(setting.model, params, points)}
        errors |= {name: errors_along(baseline, points) for name, baseline in BASELINES.items()}
        out[shift] = {name: value / setting.mean_square(shift) for name, value in errors.items()}
    return out


def main(arguments: list[str] | None = None) -> None:
    """Trains, tests, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--d", type=int, default=5, help="dimensions of the functions")
    parser.add_argument("--steps", type=int, default=6_000)
    parser.add_argument("--lr", type=float, default=Setting.lr)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/linear-regression"), help="where training states are kept")
    parser.add_argument("--docs", type=Path, help="directory that gets tables, numbers and plot")
    options = parser.parse_args(arguments)
    if options.d < FIRST_D:
        parser.error(f"--d must be {FIRST_D} or more, but is {options.d}")
    torch.set_num_threads(1)  # the products are small: a second thread only waits
    setting = Setting(options.d, options.steps, options.lr, seed=options.seed)
    since, curve = time.monotonic(), list[list[float]]()

    def seen(step: int, loss: float) -> None:
        curve.append([step, loss])
        print(f"step {step:6} loss {loss:.4f} {time.monotonic() - since:7.0f} s", file=sys.stderr, flush=True)

    try:
        params = setting.training().run(options.out / f"d{setting.d}.safetensors", seen)
    except IclError as error:
        sys.exit(f"linear_regression: {error}")
    results = {"facts": asdict(setting), "errors": measure(setting, params)}
    print_tables(results)
    if options.docs:
        write_docs(results, options.docs)


if __name__ == "__main__":
    main()
