"""Gradient-based meta-learners on frozen features of the language model: the part that they share.

A network (linear, or with one hidden layer) on standardised features is meta-trained on episodes of other tasks, and adapted to each
support set. Where all meta-train episodes have the same labels, a label means the same in every task (positive is positive), and the head
may carry that meaning over; where episodes have different labels, outputs are class numbers without a meaning, and every outer step
permutes each task's.

FLOPs: a gradient over n rows is 6 · n · P for the P parameters that are adapted, 2 · n · P for those that are not (once, forward). The
reverse pass through an inner step costs about twice the step, so second-order methods count their inner loop three times in meta-training.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from compare import standardise
from compare.backbones import BACKBONES
from compare.diverged import check_finite
from compare.learners.outer_loop import by_adapting, outer_loop
from compare.learners.tensors import META_BATCH, arbitrary_labels, meta_batches, task_tensors
from compare.learners.types import Tools
from compare.memory import Chunks
from compare.meta_method import Inner, Method
from compare.outer import meta_step
from compare.standardise import Standardiser
from compare.stepwise import Step
from compare.types import FloatArray, Footprint, LearningEpisode, Support
from compare.unrolled import unrolled
from tasks import IclError, Query

if TYPE_CHECKING:
    from torch import Tensor

    from compare.meta_gradient import Params, TaskBatch
    from compare.outer import OuterState

INNER_STEPS = 5
MINIBATCH = 10
"""Rows of an inner step, for methods that draw minibatches."""
INNER_LR = {"linear": (0.5, 2.0), "mlp": (0.02, 0.1)}
"""Features have length about 1 before a linear head, and about the square root of the width behind a hidden layer."""


@dataclass(frozen=True)
class Settings:
    """One entry of the search: network, learning rates, number of inner steps."""

    backbone: str
    inner_lr: float
    inner_steps: int
    outer_lr: float


def grid(*, outer_lr: Sequence[float], backbones: Sequence[str] = tuple(INNER_LR)) -> tuple[Settings, ...]:
    """Every network with each of its inner rates, for each outer rate."""
    return tuple(Settings(name, lr, INNER_STEPS, outer) for outer in outer_lr for name in backbones for lr in INNER_LR[name])


@dataclass(frozen=True)
class HeadLearner:
    """See the module's opening. `meta` of None: not meta-trained yet."""

    tools: Tools
    settings: Settings
    method: Method
    standardiser: Standardiser | None = None
    meta: dict[str, FloatArray] | None = None
    """What the outer loop has learnt, float64."""
    transductive: bool = False
    meta_flops: int = 0

    @property
    def name(self) -> str:
        """The method's."""
        return self.method.name

    @property
    def inner(self) -> Inner:
        """The inner loop of these settings."""
        s = self.settings
        return Inner(BACKBONES[s.backbone], s.inner_lr, s.inner_steps, batch=MINIBATCH)

    def meta_train(self, episodes: Sequence[LearningEpisode], rng: np.random.Generator) -> HeadLearner:
        """Outer steps over META_BATCH of the episodes each. Raises IclError when there are none, Diverged for what is not finite.

        A learner that has been meta-trained before keeps its scale of features.
        """
        import torch

        if not episodes:
            raise IclError(
                f"{self.name} needs meta-train episodes of other tasks, but there are none; name tasks under 'related' in the card, "
                "or use a smaller K"
            )
        standardiser = self.standardiser or standardise.from_meta_train(standardise.meta_rows(self.tools.features, episodes))
        data = task_tensors(self.tools.features, standardiser, episodes)
        labels = len(episodes[0].support.labels)
        network = self.inner.backbone.initial(data.support_x.shape[-1], labels, rng, torch.float64)
        optimiser = self.method.optimiser(self.settings.outer_lr, self.tools.meta_steps)
        state = optimiser.start(self.method.begin(self.inner, network))
        chunks = Chunks(META_BATCH, f"{self.name} in meta-training")

        def direction(meta: Params, tasks: TaskBatch) -> Params:
            return chunks(lambda size: self.method.direction(replace(self.inner, chunk_size=size), meta, tasks))

        step = meta_step(direction, optimiser)
        drawn = meta_batches(data, arbitrary_labels(episodes), rng)

        def one_step(state: OuterState) -> OuterState:
            return step(state, self.method.arrange(self.inner, next(drawn), rng))

        accuracies = by_adapting(self.tools.features, standardiser, partial(self.method.adapt, self.inner), self.inner.backbone)
        state = outer_loop(self.tools.course, state, self.tools.meta_steps, rng, chunks, one_step, accuracies)
        flops = self._meta_flops(network, data)
        check_finite(state.params, f"{self.name} diverged in meta-training (inner_lr {self.settings.inner_lr:g})", flops)
        kept = {name: value.detach().numpy() for name, value in state.params.items()}
        return replace(self, standardiser=standardiser, meta=kept, meta_flops=flops)

    def learnt(self) -> dict[str, Tensor]:
        """See Learns."""
        return standardise.to_tensors(self.standardiser, self.meta)

    def with_learnt(self, learnt: Mapping[str, Tensor], meta_flops: int) -> HeadLearner:
        """See Learns."""
        standardiser, meta = standardise.from_tensors(learnt)
        return replace(self, standardiser=standardiser, meta=meta, meta_flops=meta_flops)

    def adapt(self, support: Support, rng: np.random.Generator) -> HeadPredictor:
        """The inner loop from what was meta-learnt; `rng` is not used. Raises IclError when it diverges or was never meta-trained."""
        import torch

        start, x, y = self._begin(support)
        adapted = self.method.adapt(self.inner, start, x, y)
        if not all(bool(torch.isfinite(value).all()) for value in adapted.values()):
            raise IclError(
                f"the inner loop of {self.name} diverged in episode {support.episode} (inner_lr {self.settings.inner_lr:g}): a "
                "parameter is not a finite number"
            )
        return HeadPredictor(self, support, adapted)

    @property
    def adapting_steps(self) -> int:
        """See Stepwise."""
        return self.settings.inner_steps

    def steps(self, support: Support, rng: np.random.Generator) -> Iterator[Step]:
        """See Stepwise; as many again beyond those that `adapt` takes."""
        start, x, y = self._begin(support)
        params = unrolled(self.method, self.inner, start, x, y, 2 * self.settings.inner_steps)
        for number, (now, loss, size) in enumerate(params):
            flops = replace(self, settings=replace(self.settings, inner_steps=number)).adapt_flops(now, len(x))
            yield Step(number, flops, loss, size, partial(HeadPredictor, self, support, now))

    def _begin(self, support: Support) -> tuple[Params, Tensor, Tensor]:
        """What was meta-learnt, and the support as the network reads it."""
        import torch

        if self.meta is None or self.standardiser is None:
            raise IclError(f"{self.name} must be meta-trained before it adapts, but it has seen no other task")
        x = torch.from_numpy(self.standardiser(self.tools.features.vectors(support.task, support.queries)))
        start = {name: torch.from_numpy(value.copy()) for name, value in self.meta.items()}
        if (outputs := len(self.meta["head.bias"])) != len(support.labels):
            raise IclError(f"{self.name} was meta-trained for {outputs} labels, but episode {support.episode} has {len(support.labels)}")
        return start, x, torch.from_numpy(support.targets)

    def adapt_flops(self, params: Params | dict[str, FloatArray], rows: int) -> int:
        """Of the inner loop on so many rows."""
        moved = set(self.method.moved(list(params)))
        inside, outside = count(params, moved), count(params, set(params) - moved)
        return 6 * self.settings.inner_steps * rows * inside + 2 * rows * outside

    def _meta_flops(self, network: Params, data: TaskBatch) -> int:
        support, queries = data.support_x.shape[1], data.query_x.shape[1]
        total = count(network, set(network))
        if self.method.outer is not None:  # all rows are pooled, each inner step reads a minibatch
            of_task = self.adapt_flops(network, min(MINIBATCH, support + queries))
        else:
            of_task = (3 if self.method.second_order else 1) * self.adapt_flops(network, support) + 6 * queries * total
        return self.tools.meta_steps * min(META_BATCH, data.tasks) * of_task


@dataclass(frozen=True)
class HeadPredictor:
    """An adapted network."""

    learner: HeadLearner
    support: Support
    params: Params

    @property
    def footprint(self) -> Footprint:
        """The parameters that adapting sets, stored as float32."""
        moved = count(self.params, set(self.learner.method.moved(list(self.params))))
        return Footprint(self.learner.adapt_flops(self.params, len(self.support.examples)), moved, 4 * moved)

    def predict(self, queries: Sequence[Query]) -> FloatArray:
        """See Predictor."""
        import torch

        assert self.learner.standardiser is not None  # it has adapted
        rows = self.learner.standardiser(self.learner.tools.features.vectors(self.support.task, queries))
        log_probs: FloatArray = self.learner.inner.backbone(self.params, torch.from_numpy(rows)).log_softmax(-1).numpy()
        return log_probs

    def query_flops(self, queries: int) -> int:
        """One product with every weight."""
        return 2 * queries * count(self.params, set(self.params))


def count(params: Params | dict[str, FloatArray], names: set[str]) -> int:
    """Numbers in the parameters of these names."""
    return sum(int(np.prod(params[name].shape)) for name in names)
