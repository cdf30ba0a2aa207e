"""Model-agnostic meta-learning, second order, of a linear head on frozen features (Finn et al. 2017, algorithm 1).

    inner:  θ'_i = θ − α ∇_θ L(support_i; θ)   (`inner_steps` times)        outer:  θ ← Adam(θ, ∇_θ mean_i L(query_i; θ'_i))

The outer gradient runs through the inner steps, second derivatives included (compare/meta_gradient.py). The labels of meta-train episodes
are not permuted: here a label means the same in every task (positive is positive), and the head may carry that meaning over. Where labels
are arbitrary class numbers they would have to be permuted.

FLOPs per task: a gradient over n rows is 6 · n · P (P: parameters); the reverse pass through an inner step costs about twice the step, so
a meta-step counts 18 · steps · n_support · P + 6 · n_query · P for each task of the meta-batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from compare import standardise
from compare.learners.types import Tools
from compare.meta_gradient import InnerLoop, TaskBatch, outer_loop
from compare.standardise import Standardiser
from compare.types import FloatArray, Footprint, LearningEpisode, Support
from tasks import IclError, Query

if TYPE_CHECKING:
    from torch import Tensor

    Params = dict[str, Tensor]

META_BATCH = 8
"""Tasks (episodes) of one outer step."""


@dataclass(frozen=True)
class Settings:
    """Learning rates and number of inner steps; features have length about 1, so rates around 1 are ordinary."""

    inner_lr: float
    inner_steps: int
    outer_lr: float


GRID = (Settings(0.5, 5, 0.01), Settings(2.0, 5, 0.01), Settings(0.5, 5, 0.1), Settings(2.0, 5, 0.1))


@dataclass(frozen=True)
class Maml:
    """See the module's opening. `params` of None: not meta-trained yet."""

    tools: Tools
    settings: Settings
    standardiser: Standardiser | None = None
    params: dict[str, FloatArray] | None = None
    """The meta-learnt start: weight (labels, width) and bias (labels,), float64."""
    name: str = "maml"
    transductive: bool = False
    meta_flops: int = 0

    def meta_train(self, episodes: Sequence[LearningEpisode], rng: np.random.Generator) -> Maml:
        """Adam on the outer loss of META_BATCH episodes a step, drawn from those given. Raises IclError when there are none."""
        if not episodes:
            raise IclError("maml needs meta-train episodes of other tasks, but there are none; name tasks under 'related' in the card")
        standardiser = standardise.from_meta_train(standardise.meta_rows(self.tools.features, episodes))
        data = self._tensors(standardiser, episodes)
        params = initial_head(data.support_x.shape[-1], len(episodes[0].support.labels), rng)
        steps = self.tools.meta_steps
        params = outer_loop(params, data, self.inner, lr=self.settings.outer_lr, steps=steps, meta_batch=META_BATCH, rng=rng)
        flops = steps * min(META_BATCH, len(episodes)) * _meta_step_flops(params, data, self.settings)
        kept = {name: value.numpy() for name, value in params.items()}
        return replace(self, standardiser=standardiser, params=kept, meta_flops=flops)

    def adapt(self, support: Support, rng: np.random.Generator) -> MamlPredictor:
        """The inner loop from the meta-learnt start; `rng` is not used. Raises IclError when it diverges or was never meta-trained."""
        import torch

        if self.params is None or self.standardiser is None:
            raise IclError("maml must be meta-trained before it adapts, but it has seen no other task")
        x = torch.from_numpy(self.standardiser(self.tools.features.vectors(support.task, support.queries)))
        start = {name: torch.from_numpy(value.copy()) for name, value in self.params.items()}
        adapted = self.inner(start, x, torch.from_numpy(support.targets))
        if not all(bool(torch.isfinite(value).all()) for value in adapted.values()):
            raise IclError(f"the inner loop of maml diverged in episode {support.episode} (inner_lr {self.settings.inner_lr:g})")
        return MamlPredictor(self.tools, self.settings, support, self.standardiser, adapted)

    @property
    def inner(self) -> InnerLoop:
        """The inner loop of these settings."""
        return InnerLoop(linear_head, self.settings.inner_lr, self.settings.inner_steps)

    def _tensors(self, standardiser: Standardiser, episodes: Sequence[LearningEpisode]) -> TaskBatch:
        import torch

        def stack(task_queries: list[tuple[str, Sequence[Query]]]) -> Tensor:
            rows = [standardiser(self.tools.features.vectors(task, queries)) for task, queries in task_queries]
            return torch.from_numpy(np.stack(rows))

        return TaskBatch(
            stack([(e.support.task, e.support.queries) for e in episodes]),
            torch.from_numpy(np.stack([e.support.targets for e in episodes])),
            stack([(e.support.task, e.queries) for e in episodes]),
            torch.from_numpy(np.stack([e.targets for e in episodes])),
        )


@dataclass(frozen=True)
class MamlPredictor:
    """The adapted head."""

    tools: Tools
    settings: Settings
    support: Support
    standardiser: Standardiser
    params: Params

    @property
    def footprint(self) -> Footprint:
        """The adapted head, stored as float32."""
        parameters = _count(self.params)
        flops = 6 * self.settings.inner_steps * len(self.support.examples) * parameters
        return Footprint(flops, parameters, 4 * parameters)

    def predict(self, queries: Sequence[Query]) -> FloatArray:
        """See Predictor."""
        import torch

        x = torch.from_numpy(self.standardiser(self.tools.features.vectors(self.support.task, queries)))
        log_probs: FloatArray = linear_head(self.params, x).log_softmax(-1).numpy()
        return log_probs

    def query_flops(self, queries: int) -> int:
        """One product with the weights."""
        return 2 * queries * _count(self.params)


def initial_head(width: int, labels: int, rng: np.random.Generator) -> Params:
    """Small random weights, zero biases, float64."""
    import torch

    generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
    weight = 0.01 * torch.randn(labels, width, generator=generator, dtype=torch.float64)
    return {"weight": weight, "bias": torch.zeros(labels, dtype=torch.float64)}


def linear_head(params: Params, x: Tensor) -> Tensor:
    """(n, width) → logits (n, labels)."""
    import torch

    return torch.nn.functional.linear(x, params["weight"], params["bias"])


def _count(params: Params | dict[str, FloatArray]) -> int:
    return sum(int(np.prod(value.shape)) for value in params.values())


def _meta_step_flops(params: Params, data: TaskBatch, settings: Settings) -> int:
    parameters = _count(params)
    return 18 * settings.inner_steps * data.support_x.shape[1] * parameters + 6 * data.query_x.shape[1] * parameters


def build(tools: Tools, settings: Settings) -> Maml:
    """An untrained meta-learner."""
    return Maml(tools, settings)
