"""A network with one hidden layer, trained on each task's points by Adam: what learning in the weights from scratch gives.

f(x) = a · max(0, Wx + b) + c,  100 units, full batches, rate 5e-3 (Garg et al. 2022); all tasks in one batched product
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compare.baselines.types import Values
from tasks import keyed_rng


@dataclass(frozen=True)
class TrainedNetwork:
    """A Baseline. The start is keyed and the same for every task."""

    hidden: int = 100
    steps: int = 500
    lr: float = 5e-3
    seed: int = 0

    def __call__(self, x: Values, y: Values, asked: Values) -> Values:
        """See Baseline."""
        import torch

        tasks, d = len(x), x.shape[2]
        rng = keyed_rng(self.seed, "trained-network", d, self.hidden)
        shapes = {"W": (d, self.hidden), "b": (1, self.hidden), "a": (self.hidden, 1), "c": (1, 1)}
        bounds = {"W": d**-0.5, "b": d**-0.5, "a": self.hidden**-0.5, "c": self.hidden**-0.5}
        start = {name: torch.from_numpy(rng.uniform(-bounds[name], bounds[name], shape)) for name, shape in shapes.items()}
        params = {name: value.expand(tasks, *value.shape).clone().requires_grad_() for name, value in start.items()}

        def said(at: torch.Tensor) -> torch.Tensor:
            return ((at @ params["W"] + params["b"]).relu() @ params["a"] + params["c"])[..., 0]

        seen, told = torch.from_numpy(np.ascontiguousarray(x)), torch.from_numpy(np.ascontiguousarray(y))
        optimiser = torch.optim.Adam(params.values(), lr=self.lr)
        for _ in range(self.steps):
            optimiser.zero_grad()
            ((said(seen) - told) ** 2).mean(dim=1).sum().backward()  # type: ignore[no-untyped-call]  # tasks do not touch each other
            optimiser.step()
        with torch.no_grad():
            out: Values = said(torch.from_numpy(np.ascontiguousarray(asked))).numpy()
        return out
