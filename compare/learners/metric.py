"""Metric learners: what is compared is the part that they share, how it is compared stands in each learner's file.

    f(x) = z + B A z,   z = standardised features;  B = 0 without meta-training

The papers train an embedding from scratch; here the language model's frozen features are the embedding, and meta-training adds a map of
rank RANK to it, by Adam on the query loss of episodes of other tasks. It begins as the identity, and the search also tries to leave it out.

FLOPs: 4 · n · width · RANK for the map of n rows, 3 · width · compared · n for the comparisons; meta-training three times as much.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from compare import standardise
from compare.diverged import check_finite
from compare.learners.outer_loop import by_adapting, outer_loop
from compare.learners.tensors import META_BATCH, meta_batches, task_tensors
from compare.learners.types import Tools
from compare.memory import Chunks
from compare.meta_gradient import Objective, meta_gradient
from compare.outer import Adam, meta_step
from compare.standardise import Standardiser
from compare.types import FloatArray, Footprint, LearningEpisode, Support
from tasks import Query

if TYPE_CHECKING:
    from torch import Tensor

    from compare.meta_gradient import Params
    from compare.outer import OuterState

RANK = 32
OUTER_LR = 0.003


@dataclass(frozen=True)
class Settings:
    """One entry of the search."""

    scale: float
    """How sharply likeness becomes probability."""
    trained: bool
    """Whether the map is meta-trained."""
    unit_length: bool = True
    """Whether every vector is divided by its length after the map."""


@dataclass(frozen=True)
class Rule:
    """How a metric learner compares. Pure functions of tensors."""

    name: str
    remember: Callable[[Tensor, Tensor, int], Params]
    """Embedded support (n, width), its classes (n,), number of labels → what is kept of it."""
    compare: Callable[[Params, Tensor, float], Tensor]
    """What is kept, embedded queries (m, width), the scale → logits (m, labels)."""


@dataclass(frozen=True)
class MetricLearner:
    """See the module's opening."""

    tools: Tools
    settings: Settings
    rule: Rule
    standardiser: Standardiser | None = None
    map: dict[str, FloatArray] | None = None
    """A (RANK, width) and B (width, RANK), float64; None where nothing is trained."""
    transductive: bool = False
    meta_flops: int = 0

    @property
    def name(self) -> str:
        """The rule's."""
        return self.rule.name

    def meta_train(self, episodes: Sequence[LearningEpisode], rng: np.random.Generator) -> MetricLearner:
        """Mean and spread of the features from the other tasks' rows; then the map, if it is to be trained.

        Raises Diverged for a map that is not finite.
        """
        import torch

        standardiser = standardise.fit(self.tools.features, episodes)
        if standardiser is None or not self.settings.trained:
            return replace(self, standardiser=standardiser)
        data = task_tensors(self.tools.features, standardiser, episodes)
        labels, width = len(episodes[0].support.labels), data.support_x.shape[-1]
        random = rng.normal(size=(RANK, width)) / np.sqrt(width)
        start = {"A": torch.from_numpy(random), "B": torch.zeros(width, RANK, dtype=torch.float64)}
        adapt, objective = partial(self._remember, labels=labels), Objective(self._logits)
        optimiser = Adam(OUTER_LR)
        chunks = Chunks(META_BATCH, f"{self.name} in meta-training")
        step = meta_step(lambda meta, tasks: chunks(lambda size: meta_gradient(meta, tasks, adapt, objective, size)), optimiser)
        drawn = meta_batches(data, 0, rng)  # classes are compared, never named: nothing to permute
        accuracies = by_adapting(self.tools.features, standardiser, adapt, self._logits)

        def one_step(state: OuterState) -> OuterState:
            return step(state, next(drawn))

        state = outer_loop(self.tools.course, optimiser.start(start), self.tools.meta_steps, rng, chunks, one_step, accuracies)
        support, queries = data.support_x.shape[1], data.query_x.shape[1]
        of_task = 3 * (self._map_flops(support + queries, width) + 3 * width * queries * labels)
        flops = self.tools.meta_steps * min(META_BATCH, data.tasks) * of_task
        check_finite(state.params, f"{self.name} diverged in meta-training", flops)
        kept = {name: value.detach().numpy() for name, value in state.params.items()}
        return replace(self, standardiser=standardiser, map=kept, meta_flops=flops)

    def learnt(self) -> dict[str, Tensor]:
        """See Learns."""
        return standardise.to_tensors(self.standardiser, self.map)

    def with_learnt(self, learnt: Mapping[str, Tensor], meta_flops: int) -> MetricLearner:
        """See Learns."""
        standardiser, map = standardise.from_tensors(learnt)
        return replace(self, standardiser=standardiser, map=map, meta_flops=meta_flops)

    def adapt(self, support: Support, rng: np.random.Generator) -> MetricPredictor:
        """Embeds the support; `rng` is not used."""
        import torch

        rows = self.tools.features.vectors(support.task, support.queries)
        learner = replace(self, standardiser=self.standardiser or standardise.from_support(rows))
        assert learner.standardiser is not None
        x, y = torch.from_numpy(learner.standardiser(rows)), torch.from_numpy(support.targets)
        meta = {name: torch.from_numpy(value) for name, value in (self.map or {}).items()}
        return MetricPredictor(learner, support, learner._remember(meta, x, y, labels=len(support.labels)), rows.shape[1])

    def _remember(self, meta: Params, x: Tensor, y: Tensor, *, labels: int) -> Params:
        """What is kept of a support set, beside the map that queries need, too."""
        return {**meta, **self.rule.remember(embed(meta, x, self.settings.unit_length), y, labels)}

    def _logits(self, kept: Params, x: Tensor) -> Tensor:
        return self.rule.compare(kept, embed(kept, x, self.settings.unit_length), self.settings.scale)

    def _map_flops(self, rows: int, width: int) -> int:
        return 4 * rows * width * RANK if self.settings.trained else 0


@dataclass(frozen=True)
class MetricPredictor:
    """A support set, embedded."""

    learner: MetricLearner
    support: Support
    kept: Params
    width: int

    @property
    def memory(self) -> int:
        """Vectors that a query is compared with."""
        return sum(len(value) for name, value in self.kept.items() if name == "vectors")

    @property
    def footprint(self) -> Footprint:
        """Nothing is trained by gradients; the kept vectors are stored as float32."""
        rows = len(self.support.examples)
        return Footprint(rows * self.width + self.learner._map_flops(rows, self.width), 0, 4 * self.memory * self.width)

    def predict(self, queries: Sequence[Query]) -> FloatArray:
        """See Predictor."""
        import torch

        assert self.learner.standardiser is not None  # set when it adapted
        rows = self.learner.standardiser(self.learner.tools.features.vectors(self.support.task, queries))
        log_probs: FloatArray = self.learner._logits(self.kept, torch.from_numpy(rows)).log_softmax(-1).numpy()
        return log_probs

    def query_flops(self, queries: int) -> int:
        """The map, and a difference or product, a sum and a weight per dimension and kept vector."""
        return self.learner._map_flops(queries, self.width) + 3 * queries * self.memory * self.width


def embed(meta: Params, x: Tensor, unit_length: bool) -> Tensor:
    """(n, width) → (n, width); a zero vector stays zero."""
    if "A" in meta:
        x = x + (x @ meta["A"].T) @ meta["B"].T
    if not unit_length:
        return x
    return x / (x * x).sum(dim=-1, keepdim=True).clamp_min(1e-24).sqrt()


def one_hot(y: Tensor, labels: int) -> Tensor:
    """(n,) → (n, labels), float64."""
    import torch

    return (y[:, None] == torch.arange(labels, device=y.device)).double()
