"""Matching networks with full-context embeddings (Vinyals et al. 2016, section 2.1.2, appendix A); formulas in compare/full_context.py.

    meta-training:  min over map and LSTMs of −Σ_episodes Σ_queries log p(y | x̂, S), by Adam on META_BATCH episodes a step

Without the context it is `matching-net`, which needs no meta-training; this one does, since nothing is known of two LSTMs before. The
support is read as a sequence, in a random order keyed by episode (in meta-training a new one in every step), so a prediction depends a
little on that order. f' and g' read the language model's frozen features, standardised.

FLOPs of a pass, w the width, R reads: 2 · w · features for each row's map, 32 w² for each example of the support (two directions, four
gates), R (24 w² + 4 n w) + 3 n w for each query; meta-training three times as much.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from compare import standardise
from compare.diverged import check_finite
from compare.learners.metric import one_hot
from compare.learners.outer_loop import outer_loop
from compare.learners.tensors import META_BATCH, meta_batches, task_tensors
from compare.learners.types import Tools
from compare.memory import Chunks
from compare.outer import Adam, meta_step
from compare.play import play
from compare.standardise import Standardiser
from compare.types import FloatArray, Footprint, LearningEpisode, Support
from tasks import IclError, Query

if TYPE_CHECKING:
    from torch import Tensor

    from compare.full_context import FullContext
    from compare.meta_gradient import Params, TaskBatch
    from compare.outer import OuterState

OUTER_LR = 0.002


@dataclass(frozen=True)
class Settings:
    """Sharpness of the last attention, width of the embedding, reads of the support per query."""

    scale: float
    width: int = 64
    reads: int = 4


GRID = (Settings(10.0), Settings(3.0))


@dataclass(frozen=True)
class FullContextLearner:
    """See the module's opening. `weights` of None: not meta-trained yet."""

    tools: Tools
    settings: Settings
    standardiser: Standardiser | None = None
    weights: dict[str, FloatArray] | None = None
    name: str = "matching-net-fce"
    transductive: bool = False
    meta_flops: int = 0

    def meta_train(self, episodes: Sequence[LearningEpisode], rng: np.random.Generator) -> FullContextLearner:
        """Raises IclError when there are no episodes, Diverged for weights that are not finite any more."""
        if not episodes:
            raise IclError(
                f"{self.name} needs meta-train episodes of other tasks, but there are none; name tasks under 'related' in the card"
            )
        standardiser = standardise.from_meta_train(standardise.meta_rows(self.tools.features, episodes))
        data = task_tensors(self.tools.features, standardiser, episodes)
        labels = len(episodes[0].support.labels)
        net = self._network(data.support_x.shape[-1], int(rng.integers(2**63)))
        optimiser = Adam(OUTER_LR)
        chunks = Chunks(META_BATCH, f"{self.name} in meta-training")
        drawn = meta_batches(data, 0, rng)  # classes are compared, never named

        def direction(meta: Params, tasks: TaskBatch) -> Params:
            net.load_state_dict(meta)
            chunks(partial(backward, net, tasks, labels))
            return {name: value.grad for name, value in net.named_parameters() if value.grad is not None}

        step = meta_step(direction, optimiser)

        def one_step(state: OuterState) -> OuterState:
            return step(state, shuffled(next(drawn), rng))

        start = optimiser.start({name: value.detach().clone() for name, value in net.named_parameters()})
        accuracies = partial(self._accuracies, standardiser)
        weights = outer_loop(self.tools.course, start, self.tools.meta_steps, rng, chunks, one_step, accuracies).params
        check_finite(weights, f"{self.name} diverged in meta-training")
        of_task = 3 * self._flops(data.support_x.shape[1], data.query_x.shape[1], data.support_x.shape[-1])
        return replace(
            self,
            standardiser=standardiser,
            weights={name: value.numpy() for name, value in weights.items()},
            meta_flops=self.tools.meta_steps * min(META_BATCH, data.tasks) * of_task,
        )

    def _accuracies(self, standardiser: Standardiser, meta: Params, episodes: Sequence[LearningEpisode]) -> list[float]:
        """Of each episode, with the weights as they stand."""
        learner = replace(self, standardiser=standardiser, weights={name: value.numpy() for name, value in meta.items()})
        return [play(learner, episode, 0).accuracy for episode in episodes]

    def learnt(self) -> dict[str, Tensor]:
        """See Learns."""
        return standardise.to_tensors(self.standardiser, self.weights)

    def with_learnt(self, learnt: Mapping[str, Tensor], meta_flops: int) -> FullContextLearner:
        """See Learns."""
        standardiser, weights = standardise.from_tensors(learnt)
        return replace(self, standardiser=standardiser, weights=weights, meta_flops=meta_flops)

    def adapt(self, support: Support, rng: np.random.Generator) -> FullContextPredictor:
        """Reads the support, in an order drawn from `rng`. Raises IclError when it was never meta-trained."""
        import torch

        if self.weights is None or self.standardiser is None:
            raise IclError(f"{self.name} must be meta-trained before it adapts, but it has seen no other task")
        rows = self.standardiser(self.tools.features.vectors(support.task, support.queries))
        net = self._network(rows.shape[1], 0)
        net.load_state_dict({name: torch.from_numpy(value) for name, value in self.weights.items()})
        order = rng.permutation(len(rows))
        with torch.no_grad():
            vectors = net.embed_support(torch.from_numpy(rows[order])[None])
        members = one_hot(torch.from_numpy(support.targets[order]), len(support.labels))[None]
        return FullContextPredictor(self, support, net, vectors, members, rows.shape[1])

    def _network(self, inputs: int, seed: int) -> FullContext:
        from compare.full_context import FullContext

        return FullContext.seeded(inputs, self.settings.width, self.settings.reads, self.settings.scale, seed)

    def _flops(self, support: int, queries: int, inputs: int) -> int:
        w, reads = self.settings.width, self.settings.reads
        of_query = reads * (24 * w * w + 4 * support * w) + 3 * support * w
        return 2 * w * inputs * (support + queries) + 32 * w * w * support + of_query * queries


@dataclass(frozen=True)
class FullContextPredictor:
    """A support set that was read."""

    learner: FullContextLearner
    support: Support
    net: FullContext
    vectors: Tensor
    """(1, n, width), in the order of reading."""
    members: Tensor
    """(1, n, labels), one-hot."""
    inputs: int

    @property
    def footprint(self) -> Footprint:
        """Nothing is trained by gradients; the embedded support is stored as float32."""
        n = len(self.support.examples)
        return Footprint(self.learner._flops(n, 0, self.inputs), 0, 4 * self.vectors.numel())

    def predict(self, queries: Sequence[Query]) -> FloatArray:
        """See Predictor."""
        import torch

        assert self.learner.standardiser is not None  # it has adapted
        rows = self.learner.standardiser(self.learner.tools.features.vectors(self.support.task, queries))
        with torch.no_grad():
            log_probs: FloatArray = self.net(self.vectors, self.members, torch.from_numpy(rows)[None])[0].log_softmax(-1).numpy()
        return log_probs

    def query_flops(self, queries: int) -> int:
        """Map, reads and the last attention."""
        n = len(self.support.examples)
        return self.learner._flops(n, queries, self.inputs) - self.learner._flops(n, 0, self.inputs)


def shuffled(tasks: TaskBatch, rng: np.random.Generator) -> TaskBatch:
    """The support of every task in an order of its own."""
    import torch

    order = torch.from_numpy(np.stack([rng.permutation(tasks.support_x.shape[1]) for _ in range(tasks.tasks)]))
    task = torch.arange(tasks.tasks)[:, None]
    return tasks._replace(support_x=tasks.support_x[task, order], support_y=tasks.support_y[task, order])


def backward(net: FullContext, tasks: TaskBatch, labels: int, size: int) -> None:
    """Leaves the gradient of the mean query loss in the network, from so many tasks at a time."""
    import torch

    net.zero_grad(set_to_none=True)
    for start in range(0, tasks.tasks, size):
        part = tasks.take(slice(start, start + size))
        members = torch.nn.functional.one_hot(part.support_y, labels).double()
        log_probs = net(net.embed_support(part.support_x), members, part.query_x)
        loss = torch.nn.functional.nll_loss(log_probs.flatten(0, 1), part.query_y.flatten()) * part.tasks / tasks.tasks
        loss.backward()  # type: ignore[no-untyped-call]


def build(tools: Tools, settings: Settings) -> FullContextLearner:
    """An untrained network."""
    return FullContextLearner(tools, settings)
