"""What one episode's adapting looks like from step to step: accuracy on the queries, loss on the support, size of the gradient.

Accuracy after the trained number of steps is the one that was played, not read again. Values that are not finite are null, and
`broken_at` names the first step where one was seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from compare.memory import OutOfMemory
from compare.play import Played, fault
from compare.stepwise import Step, Stepwise
from compare.types import LearningEpisode, Predictor
from icl.engine.memory import is_out_of_memory
from icl.metrics import predict
from tasks import IclError

Json = dict[str, Any]
SHARES = (0.0, 0.25, 0.5, 1.0)
"""Of a learner's steps, after which accuracy is read where that takes forward passes of the language model."""


@dataclass
class Trace:
    """Columns of equal length, one entry per step."""

    episode: str
    step: list[int] = field(default_factory=list)
    flops: list[int] = field(default_factory=list)
    accuracy: list[float | None] = field(default_factory=list)
    """None where it was not read, or could not be."""
    loss: list[float | None] = field(default_factory=list)
    gradient_norm: list[float | None] = field(default_factory=list)
    broken_at: int | None = None
    reason: str = ""
    """Why it ended early; empty when it did not."""

    def add(self, step: Step, accuracy: float | None) -> None:
        """One more step."""
        self.step.append(step.number)
        self.flops.append(step.flops)
        self.accuracy.append(accuracy)
        self.loss.append(_finite(step.loss))
        self.gradient_norm.append(_finite(step.gradient_norm))
        if self.broken_at is None and any(v is not None and not math.isfinite(v) for v in (step.loss, step.gradient_norm)):
            self.broken_at = step.number

    def to_json(self) -> Json:
        """Plain values."""
        return dict(vars(self))


def checkpoints(steps: int) -> set[int]:
    """A few of so many steps: see SHARES."""
    return {math.ceil(share * steps) for share in SHARES}


def trace(learner: Stepwise, played: Played, rng: np.random.Generator, at: set[int] | None, features: int) -> Trace:
    """Adapts once more, from the stream that `played` was adapted from, and looks at every step.

    `at`: after which steps accuracy is read, None for all of them. `features`: FLOPs of the support's features, part of what adapting took.
    """
    out = Trace(played.episode.id)
    try:
        for step in learner.steps(played.episode.support, rng):
            if step.number == learner.adapting_steps:
                accuracy = None if played.reason else played.accuracy
            else:
                accuracy = accuracy_now(step.predictor(), played.episode) if at is None or step.number in at else None
            out.add(step, accuracy)
    except IclError as error:
        out.reason = str(error)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        out.reason = f"{learner.name} needs more memory than there is to be looked at step by step"
    out.flops = [flops + features for flops in out.flops]
    return out


def accuracy_now(predictor: Predictor, episode: LearningEpisode) -> float | None:
    """Share of right answers; None for scores that are no answers. Raises OutOfMemory."""
    try:
        scores = predictor.predict(episode.queries)
    except OutOfMemory:
        raise
    except IclError:  # it overflows: the losses tell
        return None
    if fault(scores, (len(episode.queries), len(episode.support.labels))):
        return None
    return float((predict(scores, [query.id for query in episode.queries]) == episode.targets).mean())


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
