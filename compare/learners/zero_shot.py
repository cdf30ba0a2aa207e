"""Zero-shot prompting: the query side alone, no demonstration (Brown et al. 2020).

    p(y | x) ∝ p_LM(word(y) | query side of x),     then the calibration of icl, if one is asked for

What the model answers before it has seen a single example: the floor that every way of learning must beat. Only domain-context
calibration looks at the support, for the words of its texts; nothing looks at its labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compare.learners.prompted import Asking, PromptPredictor
from compare.learners.types import Tools
from compare.types import LearningEpisode, Support
from icl.calibration import Calibrator, get_calibrator


@dataclass(frozen=True)
class Settings:
    """Nothing is searched."""


GRID = (Settings(),)


@dataclass(frozen=True)
class ZeroShot:
    """See the module's opening."""

    tools: Tools
    calibrator: Calibrator
    name: str = "zero-shot"
    meta_flops: int = 0

    @property
    def transductive(self) -> bool:
        """True with batch calibration, which sees the whole query batch."""
        return self.calibrator.transductive

    def meta_train(self, episodes: Sequence[LearningEpisode], rng: np.random.Generator) -> ZeroShot:
        """The identity."""
        return self

    def adapt(self, support: Support, rng: np.random.Generator) -> PromptPredictor:
        """Nothing to adapt; `rng` keys the random words of domain-context calibration."""
        return PromptPredictor(Asking(self.tools, support), self.calibrator, int(rng.integers(2**31)))


def build(tools: Tools, settings: Settings) -> ZeroShot:
    """Raises IclError for an unknown calibration."""
    return ZeroShot(tools, get_calibrator(tools.calibration))
