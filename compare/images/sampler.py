"""Image episodes as tensors. Pixels stay uint8 in memory; the rows of a batch become float32 when they are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tasks.images.episodes import ImageEpisode, Shape, check, draw
from tasks.images.types import ImageSet

if TYPE_CHECKING:
    from torch import Tensor

    from compare.meta_gradient import TaskBatch


def tensors(images: ImageSet, episodes: Sequence[ImageEpisode], *, global_labels: bool = False) -> TaskBatch:
    """Equally large episodes as one batch: x float32 (tasks, n, channels, side, side) in 0 to 1, y int64 (tasks, n).

    Labels are places in the episode, or with `global_labels` numbers of the classes in the set.
    """
    import torch

    from compare.meta_gradient import TaskBatch

    parts = []
    for rows, labels in (("support", "support_labels"), ("query", "query_labels")):
        at = np.stack([getattr(episode, rows) for episode in episodes])
        y = np.stack([episode.classes[getattr(episode, labels)] if global_labels else getattr(episode, labels) for episode in episodes])
        parts += [pixels(images, at), torch.from_numpy(y.astype(np.int64))]
    return TaskBatch(*parts)


def pixels(images: ImageSet, rows: np.ndarray) -> Tensor:
    """Rows (…) of the set → float32 (…, channels, side, side) in 0 to 1."""
    import torch

    found = torch.from_numpy(images.images[rows]).float().div_(255)
    return found.unsqueeze(-3) if images.channels == 1 else found.movedim(-1, -3)


@dataclass(frozen=True)
class ImageSampler:
    """See compare/sampling.py. Raises IclError when the set has too few classes or images for the shape."""

    images: ImageSet
    shape: Shape
    within_group: bool = False
    """Whether all classes of an episode come from one group."""
    global_labels: bool = False
    """Labels are numbers of the classes in the set: for training one network on all of them."""
    what: str = "the meta-train part"

    def __post_init__(self) -> None:
        check(self.images, self.shape, self.what, within_group=self.within_group)

    def sample(self, rng: np.random.Generator, n_tasks: int) -> TaskBatch:
        """See Sampler."""
        episodes = [draw(self.images, self.shape, rng, within_group=self.within_group) for _ in range(n_tasks)]
        return tensors(self.images, episodes, global_labels=self.global_labels)
