"""Model-based learners on images: a network that reads the support set, and needs no gradient to learn from it.

    log p(y | x, support) = reader([f(x_1), y_1], …, [f(x_n), y_n], f(x)) at its last position

f is the body of the network, the readers are those of compare/sequence/ with the sizes of their papers. Meta-training moves all weights by
the loss of the queries; a task's classes are renumbered and its support is put into another order each time, so that nothing but the
support says what a label means. Adapting embeds the support. Santoro et al. 2016 ask every image of a sequence in turn (k-th instance);
here a query comes after the whole support, as for every other learner.

FLOPs: the body per image, and the products of the reader, counted by torch on one sequence; meta-training three times as much.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING

import numpy as np

from compare.images.learners.types import Setting, Work
from compare.meta_gradient import Objective, meta_gradient
from compare.sequence import MANN, SNAIL, InContextTransformer, Reader, SequenceModel, mixed
from compare.sequence.optimise import WarmAdam
from tasks.errors import IclError

if TYPE_CHECKING:
    from torch import Tensor

    from compare.meta_gradient import Params, TaskBatch
    from compare.outer import Optimiser

OUTER_LR = 1e-3
WARM_UP = 0.05
"""Share of the outer steps."""
KEPT = "kept."
"""Parameters whose names begin so are what is kept of a task."""


def reader(name: str, points: int) -> Reader:
    """With the sizes of its paper for Omniglot, for so many images. (The transformer: 4 layers of 128 numbers, an image and its label in
    one token.)"""
    if name == "snail":
        return SNAIL(points, filters=128, attention=((64, 32), (256, 128), (512, 256)))
    return MANN() if name == "mann" else InContextTransformer(points, width=128, layers=4, heads=4, joined=True)


@dataclass(frozen=True)
class ReadingLearner:
    """See the module's opening."""

    setting: Setting
    name: str
    global_labels: bool = False

    @property
    def transductive(self) -> bool:
        """Batch statistics are those of the queries."""
        return self.setting.norm == "batch"

    @property
    def traceable(self) -> bool:
        """Its optimiser looks at the number of the step."""
        return False

    @property
    def settings(self) -> dict[str, float]:
        """See ImageLearner."""
        return {"outer_lr": OUTER_LR, "warm_up": WARM_UP}

    @cached_property
    def model(self) -> SequenceModel:
        """Body and reader."""
        s = self.setting
        return SequenceModel(self.name, reader(self.name, s.support + 1), s.backbone, s.n_way)

    def for_ways(self, n_way: int) -> ReadingLearner:
        """See ImageLearner. Episodes have the shape that it was trained on (see `build`)."""
        return self

    def start(self, rng: np.random.Generator) -> Params:
        """See ImageLearner. Parameters of body and reader."""
        return self.model.initial(self.setting.channels, rng)

    def optimiser(self, steps: int) -> Optimiser:
        """See ImageLearner."""
        return WarmAdam(OUTER_LR, steps, warm=max(1, round(WARM_UP * steps)))

    def arrange(self, tasks: TaskBatch, rng: np.random.Generator) -> TaskBatch:
        """See ImageLearner."""
        return mixed(tasks, self.setting.n_way, rng)

    def direction(self, meta: Params, tasks: TaskBatch) -> Params:
        """See ImageLearner. The embedding of the support is part of what is differentiated."""

        def adapt(meta: Params, x: Tensor, y: Tensor) -> Params:
            return {**meta, **{KEPT + name: value for name, value in self.adapt(meta, x, y).items()}}

        def logits(params: Params, x: Tensor) -> Tensor:
            kept = {name.removeprefix(KEPT): value for name, value in params.items() if name.startswith(KEPT)}
            return self._logits(params, kept, x)

        return meta_gradient(meta, tasks, adapt, Objective(logits))

    def adapt(self, meta: Params, x: Tensor, y: Tensor) -> Params:
        """See ImageLearner. The embedded support and its labels."""
        return {"features": self.model.embed(meta, x[None])[0], "labels": self.model.labels(y)}

    def predict(self, meta: Params, kept: Params, x: Tensor) -> Tensor:
        """See ImageLearner."""
        return self._logits(meta, kept, x).log_softmax(-1)

    def _logits(self, meta: Params, kept: Params, x: Tensor) -> Tensor:
        """A sequence for each query: the support, then the query, whose label is not read."""
        import torch

        asked = self.model.embed(meta, x[None])[0]
        shown = kept["features"].expand(len(asked), -1, -1)
        labels = torch.cat([kept["labels"], torch.zeros_like(kept["labels"][:1])]).expand(len(asked), -1, -1)
        return self.model.reader(meta, torch.cat([shown, asked[:, None]], dim=1), labels)[:, -1]

    def work(self) -> Work:
        """See ImageLearner."""
        s = self.setting
        adapt, query = s.support * s.body_flops(), s.body_flops() + reading_flops(self.name, s.support + 1, s.features, s.n_way)
        return Work(3 * (adapt + s.queries * query), adapt, query, 0, 4 * s.support * (s.features + s.n_way))


@cache
def reading_flops(name: str, points: int, features: int, n_way: int) -> int:
    """Of one sequence through the reader, forward: its products, as torch counts them."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    found = reader(name, points)
    params = found.initial(features, n_way, n_way, torch.Generator().manual_seed(0))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        found(params, torch.zeros(1, points, features), torch.zeros(1, points, n_way))
    return int(counter.get_total_flops())


def build(name: str, setting: Setting) -> ReadingLearner:
    """Untrained. Raises IclError where episodes may have any number of ways."""
    if setting.any_way:
        raise IclError(f"{name} reads labels of a fixed number of classes, so all episodes must have as many; leave it out")
    return ReadingLearner(setting, name)
