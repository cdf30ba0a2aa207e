"""MetaICL: the model is trained, on other tasks, to answer after demonstrations; then it learns in the context (Min et al. 2022).

    meta-training:  min_φ Σ_episodes Σ_queries −log p_φ(y | demonstrations of the support in random order, query side of x)
    evaluation:     in-context learning with φ, nothing trained any more

Episodes have as many demonstrations per label as the evaluation will show. The paper trains all weights over tens of thousands of steps;
here φ are LoRA factors (as in `lora`), and there are a few dozen steps of one episode and BATCH of its queries each, so that it fits beside
the other learners. There is one setting: each further one would be a whole meta-training. FLOPs: those of compare/training.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from compare.adapted import Adapted
from compare.learners.in_context import shuffled
from compare.learners.language_course import LanguageCourse
from compare.learners.lora import LoraFactors
from compare.learners.prompted import Asking, PromptPredictor
from compare.learners.types import Tools
from compare.learners.weights import base_engine
from compare.training import BATCH, Lesson, train
from compare.types import LearningEpisode, Support
from icl.calibration import Calibrator, get_calibrator
from tasks import Example, IclError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Settings:
    """Rank of the factors, learning rate, and number of steps (episodes)."""

    rank: int
    lr: float
    steps: int


GRID = (Settings(8, 1e-3, 30),)


@dataclass(frozen=True)
class MetaICL:
    """See the module's opening. `factors` of None: not meta-trained yet."""

    tools: Tools
    settings: Settings
    calibrator: Calibrator
    factors: Mapping[str, Tensor] | None = None
    name: str = "metaicl"
    meta_flops: int = 0

    @property
    def transductive(self) -> bool:
        """True with batch calibration, which sees the whole query batch."""
        return self.calibrator.transductive

    def meta_train(self, episodes: Sequence[LearningEpisode], rng: np.random.Generator) -> MetaICL:
        """Trains the factors, an episode a step. Raises IclError when there are no episodes, and when it diverges."""
        if not episodes:
            raise IclError("metaicl needs meta-train episodes of other tasks, but there are none; name tasks under 'related' in the card")
        copied = self._untrained(int(rng.integers(2**63)))
        order = rng.permutation(max(len(episodes), self.settings.steps)) % len(episodes)
        batches = [self._lessons(episodes[int(i)], rng) for i in order[: self.settings.steps]]

        def now() -> MetaICL:
            return replace(self, factors={name: value.detach().clone() for name, value in copied.trainable.items()})

        along = LanguageCourse(self.tools.course, copied, len(batches), rng, now)
        flops = train(base_engine(self.tools), copied, batches, self.settings.lr, f"{self.name} in meta-training", along)
        return replace(now(), meta_flops=flops)

    def learnt(self) -> dict[str, Tensor]:
        """See Learns."""
        return dict(self.factors or {})

    def with_learnt(self, learnt: Mapping[str, Tensor], meta_flops: int) -> MetaICL:
        """See Learns."""
        return replace(self, factors=dict(learnt), meta_flops=meta_flops)

    def adapt(self, support: Support, rng: np.random.Generator) -> PromptPredictor:
        """Fixes the order of the demonstrations."""
        import torch

        if self.factors is None:
            raise IclError("metaicl must be meta-trained before it adapts, but it has seen no other task")
        copied = self._untrained(0)
        with torch.no_grad():
            for name, parameter in copied.trainable.items():
                parameter.copy_(self.factors[name])
        asking = Asking(self.tools, support, shuffled(support, rng))
        engine = base_engine(self.tools).over(copied.model)
        return PromptPredictor(asking, self.calibrator, int(rng.integers(2**31)), engine)

    def _untrained(self, seed: int) -> Adapted:
        return LoraFactors(self.settings.rank)(base_engine(self.tools).model, seed)

    def _lessons(self, episode: LearningEpisode, rng: np.random.Generator) -> list[Lesson]:
        """Some of an episode's queries after its demonstrations."""
        asking = Asking(self.tools, episode.support, shuffled(episode.support, rng))
        chosen = rng.permutation(len(episode.queries))[:BATCH]
        queries = [(episode.queries[int(i)], episode.support.labels[int(episode.targets[i])]) for i in chosen]
        return [asking.lesson(Example(query.id, query.inputs, label, query.choices)) for query, label in queries]


def build(tools: Tools, settings: Settings) -> MetaICL:
    """Raises IclError for a model without LoRA's projections, or for an unknown calibration."""
    LoraFactors(settings.rank).check(base_engine(tools).model, "metaicl")
    return MetaICL(tools, settings, get_calibrator(tools.calibration))
