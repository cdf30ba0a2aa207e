"""A learner that trains weights of the language model on one support set: what fine-tuning, LoRA, (IA)³ and their like share.

Each method's file says which weights (`Method`); how they are trained is compare/training.py's, the same for all. Prediction goes
through the ordinary engine over the adapted copy, with the prompt, candidates and span of zero-shot prompting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from compare.adapted import Method
from compare.learners.prompted import Asking, PromptPredictor
from compare.learners.types import Tools
from compare.training import Schedule, epochs, train
from compare.types import Footprint, LearningEpisode, Support
from icl.calibration import get_calibrator

if TYPE_CHECKING:
    from icl.engine.hf import HFEngine


@dataclass(frozen=True)
class WeightLearner:
    """See the module's opening. Raises IclError for a model that lacks the modules which the method adapts."""

    tools: Tools
    name: str
    method: Method
    schedule: Schedule
    transductive: bool = False
    meta_flops: int = 0

    def __post_init__(self) -> None:
        self.method.check(base_engine(self.tools).model, self.name)

    def meta_train(self, episodes: Sequence[LearningEpisode], rng: np.random.Generator) -> WeightLearner:
        """The identity: only the support set is trained on."""
        return self

    def adapt(self, support: Support, rng: np.random.Generator) -> PromptPredictor:
        """Trains a copy on the support. Raises IclError when it diverges."""
        base = base_engine(self.tools)
        copied = self.method(base.model, int(rng.integers(2**63)))
        asking = Asking(self.tools, support, prefix=copied.prefix)
        batches = epochs(asking.lessons(), self.schedule.steps, rng)
        flops = train(base, copied, batches, self.schedule.lr, f"{self.name} in episode {support.episode}")
        trained = Footprint(flops, copied.trainable_parameters, copied.bytes_per_task)
        return PromptPredictor(asking, get_calibrator("none"), adapted=base.over(copied.model), trained=trained)


def base_engine(tools: Tools) -> HFEngine:
    """The engine over the model that all learners share."""
    return cast("HFEngine", tools.engine)
