"""A learner that trains weights of the language model on one support set: what fine-tuning, LoRA, (IA)³ and their like share.

Each method's file says which weights (`Method`); how they are trained is compare/training.py's, the same for all. Prediction goes
through the ordinary engine over the adapted copy, with the prompt, candidates and span of zero-shot prompting.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from compare.adapted import Adapted, Method
from compare.learners.prompted import Asking, PromptPredictor
from compare.learners.types import Tools
from compare.stepwise import Step, norm
from compare.training import Lesson, Schedule, epochs, losses, train, training_flops
from compare.types import Footprint, LearningEpisode, Support
from icl.calibration import get_calibrator
from icl.engine.types import Work

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
        copied, asking, batches = self._begin(support, rng)
        flops = train(base, copied, batches, self.schedule.lr, self._who(support))
        trained = Footprint(flops, copied.trainable_parameters, copied.bytes_per_task)
        return PromptPredictor(asking, get_calibrator("none"), adapted=base.over(copied.model), trained=trained)

    @property
    def adapting_steps(self) -> int:
        """See Stepwise."""
        return self.schedule.steps

    def steps(self, support: Support, rng: np.random.Generator) -> Iterator[Step]:
        """See Stepwise. None beyond the last: the learning rate has fallen to zero there."""
        return self._steps(support, *self._begin(support, rng))

    def _begin(self, support: Support, rng: np.random.Generator) -> tuple[Adapted, Asking, list[list[Lesson]]]:
        """An untrained copy, how it is asked, and the batches of its steps."""
        copied = self.method(base_engine(self.tools).model, int(rng.integers(2**63)))
        asking = Asking(self.tools, support, prefix=copied.prefix)
        return copied, asking, epochs(asking.lessons(), self.schedule.steps, rng)

    def _steps(self, support: Support, copied: Adapted, asking: Asking, batches: list[list[Lesson]]) -> Iterator[Step]:
        base, work, flops = base_engine(self.tools), Work(), 0

        def untrained() -> PromptPredictor:
            """Without virtual tokens it answers as the model itself does, which the score store may know."""
            return now() if copied.prefix else PromptPredictor(asking, get_calibrator("none"))

        def now() -> PromptPredictor:
            return PromptPredictor(asking, get_calibrator("none"), adapted=base.over(copied.model))

        for number, loss in enumerate(losses(base, copied, batches, self.schedule.lr, self._who(support), work)):
            gradients = (parameter.grad for parameter in copied.trainable.values())
            yield Step(number, flops, loss, norm(gradients), now if number else untrained)
            flops = training_flops(copied, work)
        yield Step(len(batches), flops, None, None, now)

    def _who(self, support: Support) -> str:
        return f"{self.name} in episode {support.episode}"


def base_engine(tools: Tools) -> HFEngine:
    """The engine over the model that all learners share."""
    return cast("HFEngine", tools.engine)
