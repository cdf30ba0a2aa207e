"""In-context learning: the support set stands in the prompt, the weights stay as they are (Brown et al. 2020).

    p(y | x, S) ∝ p_LM(word(y) | demonstrations of S in random order, query side of x),  then the calibration of icl, if one is asked for

The same template, label words, scoring and calibration as `icl evaluate`. Adapting computes nothing: without a prefix kept from one call
to the next, the demonstrations are read when queries come (once per call, shared by the call's queries).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compare.learners.prompted import Asking, PromptPredictor
from compare.learners.types import Tools
from compare.types import LearningEpisode, Support
from icl.calibration import Calibrator, get_calibrator
from tasks import Example


@dataclass(frozen=True)
class Settings:
    """Nothing is searched: template and calibration are the user's choice."""

    order: str = "random"


GRID = (Settings(),)


@dataclass(frozen=True)
class InContext:
    """See the module's opening."""

    tools: Tools
    calibrator: Calibrator
    name: str = "in-context"
    meta_flops: int = 0

    @property
    def transductive(self) -> bool:
        """True with batch calibration, which sees the whole query batch."""
        return self.calibrator.transductive

    def meta_train(self, episodes: Sequence[LearningEpisode], rng: np.random.Generator) -> InContext:
        """The identity."""
        return self

    def adapt(self, support: Support, rng: np.random.Generator) -> PromptPredictor:
        """Fixes the order of the demonstrations."""
        asking = Asking(self.tools, support, shuffled(support, rng))
        return PromptPredictor(asking, self.calibrator, int(rng.integers(2**31)))


def shuffled(support: Support, rng: np.random.Generator) -> tuple[Example, ...]:
    """The support in a random order."""
    return tuple(support.examples[int(i)] for i in rng.permutation(len(support.examples)))


def build(tools: Tools, settings: Settings) -> InContext:
    """Raises IclError for an unknown calibration."""
    return InContext(tools, get_calibrator(tools.calibration))
