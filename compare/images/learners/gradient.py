"""Gradient-based meta-learners on images: the methods of compare/learners/ on the whole network.

`maml`, `fomaml`, `reptile` and `meta-sgd` move all weights in the inner loop, `anil` the head. Hyper-parameters are those of the papers for
Omniglot (Finn et al. 2017: one step of 0.4, from 20 ways on five of 0.1; Nichol et al. 2018 took Adam inside, here it is plain SGD).

Where episodes may have any number of ways (Meta-Dataset's protocol), one row of a head is meta-learnt and every class begins from it, as in
UNICORN-MAML (Ye & Chao 2022).

FLOPs: a gradient over n images is 3 forward passes; the reverse pass through an inner step costs twice the step.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np

from compare.backbones.types import HEAD
from compare.images.learners.types import Setting, Work
from compare.learners import anil, fomaml, maml, meta_sgd, reptile
from compare.meta_gradient import meta_gradient
from compare.meta_method import Inner, Method
from tasks.errors import IclError

if TYPE_CHECKING:
    from torch import Tensor

    from compare.meta_gradient import Params, TaskBatch
    from compare.outer import Optimiser

MINIBATCH = 10
"""Images of an inner step of Reptile in meta-training."""
MANY_WAYS = 20


@dataclass(frozen=True)
class Recipe:
    """Hyper-parameters of one method."""

    inner_lr: float
    inner_steps: int
    test_steps: int
    """Inner steps on a new task."""
    outer_lr: float = 1e-3


FEW = Recipe(0.4, 1, 1)
MANY = Recipe(0.1, 5, 5)
METHODS: dict[str, tuple[Method, Recipe, Recipe]] = {
    "maml": (maml.METHOD, FEW, MANY),
    "fomaml": (fomaml.METHOD, FEW, MANY),
    "reptile": (reptile.METHOD, Recipe(0.05, 5, 20, 1.0), Recipe(0.05, 10, 20, 1.0)),
    "anil": (anil.METHOD, FEW, MANY),
    "meta-sgd": (meta_sgd.METHOD, replace(FEW, inner_lr=0.1), replace(MANY, inner_steps=1, test_steps=1)),
}
"""Name → method, its recipe below MANY_WAYS ways, and from there on."""


@dataclass(frozen=True)
class GradientLearner:
    """See the module's opening."""

    setting: Setting
    method: Method
    recipe: Recipe
    global_labels: bool = False

    @property
    def name(self) -> str:
        """The method's."""
        return self.method.name

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
        r = self.recipe
        found = {"inner_lr": r.inner_lr, "inner_steps": r.inner_steps, "test_steps": r.test_steps, "outer_lr": r.outer_lr}
        return {**found, "minibatch": MINIBATCH} if self.method.outer is not None else found

    @cached_property
    def inner(self) -> Inner:
        """The inner loop of meta-training."""
        return Inner(self.setting.backbone, self.recipe.inner_lr, self.recipe.inner_steps, batch=MINIBATCH)

    def for_ways(self, n_way: int) -> GradientLearner:
        """See ImageLearner."""
        return replace(self, setting=replace(self.setting, n_way=n_way))

    def start(self, rng: np.random.Generator) -> Params:
        """See ImageLearner."""
        import torch

        outputs = 1 if self.setting.any_way else self.setting.n_way
        params = self.inner.backbone.initial(self.setting.channels, outputs, rng, torch.float32)
        return self.method.begin(self.inner, params)

    def optimiser(self, steps: int) -> Optimiser:
        """See ImageLearner."""
        return self.method.optimiser(self.recipe.outer_lr, steps)

    def arrange(self, tasks: TaskBatch, rng: np.random.Generator) -> TaskBatch:
        """See ImageLearner."""
        return self.method.arrange(self.inner, tasks, rng)

    def direction(self, meta: Params, tasks: TaskBatch) -> Params:
        """See ImageLearner."""
        if self.method.outer is not None:
            return self.method.outer(self.inner, meta, tasks)
        return meta_gradient(meta, tasks, partial(self._adapted, self.inner), self.inner.objective)

    def adapt(self, meta: Params, x: Tensor, y: Tensor) -> Params:
        """See ImageLearner. All parameters of the adapted network."""
        return self._adapted(replace(self.inner, steps=self.recipe.test_steps), meta, x, y)

    def _adapted(self, inner: Inner, meta: Params, x: Tensor, y: Tensor) -> Params:
        if self.setting.any_way:
            ways = self.setting.n_way
            meta = {name: value.expand(ways, *value.shape[1:]) if HEAD in name else value for name, value in meta.items()}
        return self.method.adapt(inner, meta, x, y)

    def predict(self, meta: Params, kept: Params, x: Tensor) -> Tensor:
        """See ImageLearner."""
        return self.inner.backbone(kept, x).log_softmax(-1)

    def work(self) -> Work:
        """See ImageLearner."""
        s = self.setting
        forward = s.body_flops() + s.head_flops(s.n_way)
        steps = self.recipe.inner_steps
        if self.method.outer is not None:
            meta = 3 * forward * steps * min(MINIBATCH, s.support + s.queries)
        else:
            meta = (3 if self.method.second_order else 1) * self._adapt_flops(steps) + 3 * forward * s.queries
        params = self.start(np.random.default_rng(0))
        names = self.method.moved([name for name in params if not name.startswith(meta_sgd.RATE)])
        rows = s.n_way if s.any_way else 1
        moved = sum(params[name].numel() * (rows if HEAD in name else 1) for name in names)
        return Work(meta, self._adapt_flops(self.recipe.test_steps), forward, moved, 4 * moved)

    def _adapt_flops(self, steps: int) -> int:
        s = self.setting
        if self.method is anil.METHOD:
            return s.support * (s.body_flops() + 3 * steps * s.head_flops(s.n_way))
        return s.support * 3 * steps * (s.body_flops() + s.head_flops(s.n_way))


def build(name: str, setting: Setting) -> GradientLearner:
    """An untrained meta-learner."""
    method, few, many = METHODS[name]
    if setting.any_way and method.outer is not None:
        raise IclError(f"{name} meta-learns a head with an output per class, so all episodes must have as many; leave it out")
    return GradientLearner(setting, method, many if setting.n_way >= MANY_WAYS else few)
