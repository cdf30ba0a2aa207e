"""Metric learners on images: an embedding trained end to end by the query loss of episodes (Snell et al. 2017, Vinyals et al. 2016).

    protonet:      logits = −‖f(x) − c_j‖²,  c_j the mean of f over the support of class j
    matching-net:  log of the attention softmax_i cos(f(x), f(x_i)) · SCALE that falls on class j; without full-context embeddings

How they compare is that of compare/learners/protonet.py and matching_net.py; here f is the network's body. Snell et al. train with more
ways than they test; here every learner is trained on tasks of the shape of the test.

FLOPs: a forward pass of the body per image, and 3 · features · compared per query; meta-training three times as much.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from compare.backbones.types import Backbone, head_names
from compare.images.learners.types import Setting, Work
from compare.learners import matching_net, protonet
from compare.learners.metric import Rule
from compare.meta_gradient import Objective, meta_gradient
from compare.outer import Adam

if TYPE_CHECKING:
    from torch import Tensor

    from compare.meta_gradient import Params, TaskBatch
    from compare.outer import Optimiser

OUTER_LR = 1e-3


@dataclass(frozen=True)
class Comparison:
    """A rule and how its embeddings are scaled."""

    rule: Rule
    scale: float
    unit_length: bool
    """Whether embeddings are divided by their length."""


RULES = {"protonet": Comparison(protonet.RULE, 1.0, False), "matching-net": Comparison(matching_net.RULE, 10.0, True)}


@dataclass(frozen=True)
class MetricLearner:
    """See the module's opening."""

    setting: Setting
    comparison: Comparison
    global_labels: bool = False

    @property
    def name(self) -> str:
        """The rule's."""
        return self.comparison.rule.name

    @property
    def transductive(self) -> bool:
        """Batch statistics are those of the queries."""
        return self.setting.norm == "batch"

    @property
    def traceable(self) -> bool:
        """See ImageLearner."""
        return True

    @property
    def settings(self) -> dict[str, float]:
        """See ImageLearner."""
        return {"outer_lr": OUTER_LR, "scale": self.comparison.scale}

    @cached_property
    def backbone(self) -> Backbone:
        """The network, whose head is not used."""
        return self.setting.backbone

    def for_ways(self, n_way: int) -> MetricLearner:
        """See ImageLearner."""
        return replace(self, setting=replace(self.setting, n_way=n_way))

    def start(self, rng: np.random.Generator) -> Params:
        """See ImageLearner. Parameters of the body."""
        import torch

        params = self.backbone.initial(self.setting.channels, 1, rng, torch.float32)
        return {name: value for name, value in params.items() if name not in head_names(params)}

    def optimiser(self, steps: int) -> Optimiser:
        """See ImageLearner."""
        return Adam(OUTER_LR)

    def arrange(self, tasks: TaskBatch, rng: np.random.Generator) -> TaskBatch:
        """See ImageLearner."""
        return tasks

    def direction(self, meta: Params, tasks: TaskBatch) -> Params:
        """See ImageLearner. The embedding of the support is part of what is differentiated."""

        def adapt(meta: Params, x: Tensor, y: Tensor) -> Params:
            return {**meta, **{f"kept.{name}": value for name, value in self.adapt(meta, x, y).items()}}

        def logits(params: Params, x: Tensor) -> Tensor:
            kept = {name.removeprefix("kept."): value for name, value in params.items() if name.startswith("kept.")}
            return self._logits(params, kept, x)

        return meta_gradient(meta, tasks, adapt, Objective(logits))

    def adapt(self, meta: Params, x: Tensor, y: Tensor) -> Params:
        """See ImageLearner. Class means, or the embedded support with its labels."""
        return self.comparison.rule.remember(self._embed(meta, x), y, self.setting.n_way)

    def predict(self, meta: Params, kept: Params, x: Tensor) -> Tensor:
        """See ImageLearner."""
        return self._logits(meta, kept, x).log_softmax(-1)

    def _embed(self, meta: Params, x: Tensor) -> Tensor:
        vectors = self.backbone.body(meta, x)
        return vectors / vectors.norm(dim=-1, keepdim=True).clamp_min(1e-12) if self.comparison.unit_length else vectors

    def _logits(self, meta: Params, kept: Params, x: Tensor) -> Tensor:
        return self.comparison.rule.compare(kept, self._embed(meta, x), self.comparison.scale)

    def work(self) -> Work:
        """See ImageLearner."""
        s = self.setting
        compared = s.n_way if self.name == "protonet" else s.support
        query = s.body_flops() + 3 * s.features * compared
        adapt = s.support * s.body_flops()
        return Work(3 * (adapt + s.queries * query), adapt, query, 0, 4 * s.features * compared)


def build(name: str, setting: Setting) -> MetricLearner:
    """An untrained embedding."""
    return MetricLearner(setting, RULES[name])
