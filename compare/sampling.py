"""Where meta-learners get tasks from, whatever they are made of: images, functions, features.

A sampler is a pure function of a stream: the same generator state gives the same tasks. Whoever trains keys one stream per outer step
(`keyed_rng(seed, purpose, step)`), so where a training stands is its step number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from compare.meta_gradient import TaskBatch


class Sampler(Protocol):
    """Draws equally sized tasks."""

    def sample(self, rng: np.random.Generator, n_tasks: int) -> TaskBatch:
        """Inputs float32 (tasks, n, …): images as (tasks, n, channels, side, side) in 0 to 1. Targets (tasks, n): classes as int64."""
        ...
