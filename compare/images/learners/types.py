"""What the comparison on images asks of a learner. The ground of this folder: imports nothing from its siblings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from compare.backbones.conv4 import BLOCKS, HALVINGS, Halving, Norm, conv4, features
from compare.backbones.types import Backbone

if TYPE_CHECKING:
    from torch import Tensor

    from compare.meta_gradient import Params, TaskBatch
    from compare.outer import Optimiser


@dataclass(frozen=True)
class Setting:
    """What a learner is built for."""

    size: int
    """Pixels a side."""
    channels: int
    n_way: int
    k_shot: int
    train_queries: int
    """Queries of every class in a meta-train task."""
    train_classes: int
    """Classes that there are to meta-train on."""
    norm: Norm
    filters: int = 64
    network: str = "conv4"
    """A name of HALVINGS."""
    any_way: bool = False
    """Whether episodes may have other numbers of ways than meta-train tasks: then no head may be meta-learnt for a number of outputs."""

    @property
    def backbone(self) -> Backbone:
        """The network of every learner."""
        return conv4(self.size, filters=self.filters, norm=self.norm, halving=self.halving)

    @property
    def halving(self) -> Halving:
        """Of the network."""
        return HALVINGS[self.network]

    @property
    def features(self) -> int:
        """Width of what the body gives."""
        return features(self.size, self.filters, self.halving)

    @property
    def support(self) -> int:
        """Images."""
        return self.n_way * self.k_shot

    @property
    def queries(self) -> int:
        """Images that a meta-train task asks."""
        return self.n_way * self.train_queries

    def body_flops(self) -> int:
        """Of one image through the body, forward: 2 · 9 · channels in · channels out · pixels of the convolution's output per block."""
        total, below, side = 0, self.channels, self.size
        for _ in range(BLOCKS):
            side, seen = (side // 2, side) if self.halving == "pool" else (-(-side // 2), -(-side // 2))
            total += 18 * below * self.filters * seen * seen
            below = self.filters
        return total

    def head_flops(self, outputs: int) -> int:
        """Of one image's features through a linear head, forward."""
        return 2 * self.features * outputs


@dataclass(frozen=True)
class Work:
    """Floating-point operations by formula, and what adapting sets and leaves behind."""

    meta_task: int
    """Of one task in one outer step."""
    adapt: int
    query: int
    """Of one query."""
    trainable: int
    """Numbers that adapting sets."""
    stored: int
    """Bytes kept per task, float32."""


class ImageLearner(Protocol):
    """A meta-learner as pure functions of tensors. Tasks are stacked by whoever calls; `adapt` and `predict` see one task."""

    @property
    def name(self) -> str:
        """As in tables."""
        ...

    @property
    def transductive(self) -> bool:
        """Whether a prediction depends on the other queries of the episode."""
        ...

    @property
    def traceable(self) -> bool:
        """Whether its outer step decides nothing by values, so that it can run as a list of operations (compare/traced.py)."""
        ...

    @property
    def global_labels(self) -> bool:
        """Whether meta-training names classes by their number in the meta-train part, not by their place in the task."""
        ...

    @property
    def settings(self) -> dict[str, float]:
        """Its hyper-parameters by name: they count in the spec's hash, and reports print them."""
        ...

    def for_ways(self, n_way: int) -> ImageLearner:
        """The same learner on episodes with so many classes, where its setting allows any number."""
        ...

    def start(self, rng: np.random.Generator) -> Params:
        """What the outer loop moves, before the first step."""
        ...

    def optimiser(self, steps: int) -> Optimiser:
        """The rule of the outer loop."""
        ...

    def arrange(self, tasks: TaskBatch, rng: np.random.Generator) -> TaskBatch:
        """The drawn tasks as the outer step takes them."""
        ...

    def direction(self, meta: Params, tasks: TaskBatch) -> Params:
        """Where the outer loop goes, as a gradient."""
        ...

    def adapt(self, meta: Params, x: Tensor, y: Tensor) -> Params:
        """Support images (n, channels, side, side), labels (n,) → what is kept of the task."""
        ...

    def predict(self, meta: Params, kept: Params, x: Tensor) -> Tensor:
        """Queries (m, channels, side, side) → log-probabilities (m, n_way)."""
        ...

    def work(self) -> Work:
        """Costs at the setting that it was built for."""
        ...
