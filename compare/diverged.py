"""Meta-training that ends in numbers that are not finite: the learner's failure in every episode, never the comparison's end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from compare.types import LearningEpisode, Predictor, Support
from tasks import IclError

if TYPE_CHECKING:
    from torch import Tensor


class Diverged(IclError):
    """A loss or a parameter is not finite any more, so there is nothing to go on with."""

    def __init__(self, reason: str, flops: int = 0) -> None:
        super().__init__(reason)
        self.flops = flops
        """What was computed until then."""


def check_finite(values: Mapping[str, Tensor], what: str, flops: int = 0) -> None:
    """Raises Diverged."""
    import torch

    if not all(bool(torch.isfinite(value).all()) for value in values.values()):
        raise Diverged(f"{what}: a parameter is not a finite number", flops)


@dataclass(frozen=True)
class DivergedLearner:
    """In the place of a learner whose meta-training diverged: it fails every episode with that reason, and so counts as chance."""

    name: str
    reason: str
    transductive: bool = False
    meta_flops: int = 0
    """What was computed until it diverged."""

    def meta_train(self, episodes: Sequence[LearningEpisode], rng: np.random.Generator) -> DivergedLearner:
        """It has been tried."""
        return self

    def adapt(self, support: Support, rng: np.random.Generator) -> Predictor:
        """Raises IclError."""
        raise IclError(self.reason)
