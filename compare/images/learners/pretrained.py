"""Learning without meta-learning (Chen et al. 2019): one network is trained to tell all meta-train classes apart, then adapted to a task.

    linear-probe:  a new linear head on the frozen body, gradient descent on   CE(support) + decay/2 ‖W‖²   (their "Baseline")
    fine-tune:     the probe's head first, then some steps on all weights (as Kumar et al. 2022 order it)

It sees the very images that the others see in their tasks, with the numbers of their classes as labels. FLOPs: 3 forward passes a gradient.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from compare.backbones.types import Backbone, head_names
from compare.images.learners.types import Setting, Work
from compare.meta_gradient import Objective, descend
from compare.outer import Adam

if TYPE_CHECKING:
    from torch import Tensor

    from compare.meta_gradient import Params, TaskBatch
    from compare.outer import Optimiser

OUTER_LR = 1e-3
PROBE_LR, PROBE_STEPS, DECAY = 0.1, 100, 0.01
TUNE_LR = 0.01
TUNE_STEPS = {"linear-probe": 0, "fine-tune": 10}
"""Steps on all weights."""


@dataclass(frozen=True)
class PretrainedLearner:
    """See the module's opening."""

    setting: Setting
    name: str
    global_labels: bool = True

    @property
    def transductive(self) -> bool:
        """Batch statistics are those of the queries."""
        return self.setting.norm == "batch"

    @property
    def traceable(self) -> bool:
        """See ImageLearner."""
        return True

    @property
    def tune_steps(self) -> int:
        """Steps on all weights."""
        return TUNE_STEPS[self.name]

    @property
    def settings(self) -> dict[str, float]:
        """See ImageLearner."""
        found = {"outer_lr": OUTER_LR, "probe_lr": PROBE_LR, "probe_steps": PROBE_STEPS, "decay": DECAY}
        return {**found, "tune_lr": TUNE_LR, "tune_steps": self.tune_steps} if self.tune_steps else found

    @cached_property
    def backbone(self) -> Backbone:
        """The network."""
        return self.setting.backbone

    def for_ways(self, n_way: int) -> PretrainedLearner:
        """See ImageLearner."""
        return replace(self, setting=replace(self.setting, n_way=n_way))

    def start(self, rng: np.random.Generator) -> Params:
        """See ImageLearner. A head with an output per meta-train class."""
        import torch

        return self.backbone.initial(self.setting.channels, self.setting.train_classes, rng, torch.float32)

    def optimiser(self, steps: int) -> Optimiser:
        """See ImageLearner."""
        return Adam(OUTER_LR)

    def arrange(self, tasks: TaskBatch, rng: np.random.Generator) -> TaskBatch:
        """See ImageLearner."""
        return tasks

    def direction(self, meta: Params, tasks: TaskBatch) -> Params:
        """See ImageLearner. All images of all tasks are one batch."""
        import torch
        from torch.func import grad

        x = torch.cat([tasks.support_x.flatten(0, 1), tasks.query_x.flatten(0, 1)])
        y = torch.cat([tasks.support_y.flatten(), tasks.query_y.flatten()])
        gradient: Params = grad(Objective(self.backbone))(meta, x, y)
        return gradient

    def adapt(self, meta: Params, x: Tensor, y: Tensor) -> Params:
        """See ImageLearner. All weights for fine-tuning, the head alone for the probe."""
        body = {name: value for name, value in meta.items() if name not in head_names(meta)}
        head = self._probe(self.backbone.body(body, x), y)
        if not self.tune_steps:
            return head
        whole = {**body, **head}
        objective = Objective(self.backbone)
        return descend(objective, whole, [(x, y)] * self.tune_steps, dict.fromkeys(whole, TUNE_LR), first_order=True)

    def _probe(self, features: Tensor, y: Tensor) -> Params:
        def penalised(params: Params, features: Tensor, y: Tensor) -> Tensor:
            import torch

            loss = torch.nn.functional.cross_entropy(self.backbone.head(params, features), y)
            return loss + DECAY / 2 * (params["head.weight"] * params["head.weight"]).sum()

        ways = self.setting.n_way
        head = {"head.weight": features.new_zeros(ways, features.shape[-1]), "head.bias": features.new_zeros(ways)}
        from torch.func import grad

        for _ in range(PROBE_STEPS):
            gradient = grad(penalised)(head, features, y)
            head = {name: value - PROBE_LR * gradient[name] for name, value in head.items()}
        return head

    def predict(self, meta: Params, kept: Params, x: Tensor) -> Tensor:
        """See ImageLearner."""
        return self.backbone({**meta, **kept}, x).log_softmax(-1)

    def work(self) -> Work:
        """See ImageLearner."""
        s = self.setting
        forward = s.body_flops() + s.head_flops(s.n_way)
        pretrain = 3 * (s.support + s.queries) * (s.body_flops() + s.head_flops(s.train_classes))
        probe = s.support * (s.body_flops() + 3 * PROBE_STEPS * s.head_flops(s.n_way))
        moved = (s.features + 1) * s.n_way
        if self.tune_steps:
            params = self.start(np.random.default_rng(0))
            moved += sum(value.numel() for name, value in params.items() if name not in head_names(params))
        return Work(pretrain, probe + 3 * self.tune_steps * s.support * forward, forward, moved, 4 * moved)


def build(name: str, setting: Setting) -> PretrainedLearner:
    """An untrained network."""
    return PretrainedLearner(setting, name)
