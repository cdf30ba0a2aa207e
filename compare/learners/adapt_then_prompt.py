"""Both: LoRA on the support set, then the same examples as demonstrations as well.

    p(y | x, S) ∝ p_{θ + BA(S)}(word(y) | demonstrations of S in random order, query side of x),     then a calibration, if one is asked for

The factors are trained as `lora` trains them, each example by itself; so what the prompt adds to the weights is measured, and not another
way of training. Costs are those of `lora` and of in-context learning together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from compare.adapted import Method
from compare.learners import lora
from compare.learners.in_context import shuffled
from compare.learners.prompted import PromptPredictor
from compare.learners.types import Tools
from compare.learners.weights import WeightLearner, base_engine
from compare.stepwise import Step
from compare.training import Schedule
from compare.types import LearningEpisode, Support
from icl.calibration import Calibrator, get_calibrator
from tasks import Example

Settings = lora.Settings

GRID = lora.GRID


@dataclass(frozen=True)
class AdaptThenPrompt:
    """See the module's opening."""

    tools: Tools
    method: Method
    schedule: Schedule
    calibrator: Calibrator
    name: str = "adapt-then-prompt"
    meta_flops: int = 0

    @property
    def transductive(self) -> bool:
        """True with batch calibration, which sees the whole query batch."""
        return self.calibrator.transductive

    def meta_train(self, episodes: Sequence[LearningEpisode], rng: np.random.Generator) -> AdaptThenPrompt:
        """The identity."""
        return self

    def adapt(self, support: Support, rng: np.random.Generator) -> PromptPredictor:
        """Trains, then fixes the order of the demonstrations. Raises IclError when training diverges."""
        alone = self._alone.adapt(support, rng)
        return self._showing(alone, shuffled(support, rng), int(rng.integers(2**31)))

    @property
    def adapting_steps(self) -> int:
        """See Stepwise."""
        return self.schedule.steps

    def steps(self, support: Support, rng: np.random.Generator) -> Iterator[Step]:
        """See Stepwise; the demonstrations are shown from the beginning."""
        steps, shown, seed = self._alone.steps(support, rng), shuffled(support, rng), int(rng.integers(2**31))

        def showing(step: Step) -> Step:
            return replace(step, predictor=lambda: self._showing(cast(PromptPredictor, step.predictor()), shown, seed))

        return map(showing, steps)

    @property
    def _alone(self) -> WeightLearner:
        return WeightLearner(self.tools, self.name, self.method, self.schedule)

    def _showing(self, alone: PromptPredictor, shown: tuple[Example, ...], seed: int) -> PromptPredictor:
        return replace(alone, asking=replace(alone.asking, demonstrations=shown), calibrator=self.calibrator, seed=seed)


def build(tools: Tools, settings: Settings) -> AdaptThenPrompt:
    """Raises IclError for a model without LoRA's projections, or for an unknown calibration."""
    method = lora.LoraFactors(settings.rank, settings.modules)
    method.check(base_engine(tools).model, "adapt-then-prompt")
    return AdaptThenPrompt(tools, method, Schedule(settings.lr, settings.steps), get_calibrator(tools.calibration))
