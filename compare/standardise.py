"""Standardised features: (x - mean) / scale, with statistics that never come from queries.

With meta-train rows: mean and standard deviation per dimension over those rows. Without: the support's mean, and one common scale (the
root mean square of the centred support), since K examples cannot tell the spread of hundreds of dimensions apart. Then everything is
divided by the square root of the width, so that a typical vector has length 1 whatever the model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from compare.features import Features
from compare.types import LearningEpisode
from tasks import Query

if TYPE_CHECKING:
    from torch import Tensor

SMALLEST = 1e-6
"""A dimension that never varies is left at 0, not blown up."""


@dataclass(frozen=True)
class Standardiser:
    """mean: (width,), scale: (width,); both float64."""

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]

    def __call__(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """(n, width) → (n, width)."""
        out: NDArray[np.float64] = (rows.astype(np.float64) - self.mean) / (self.scale * np.sqrt(rows.shape[1]))
        return out


def to_tensors(standardiser: Standardiser | None, arrays: Mapping[str, NDArray[np.float64]] | None = None) -> dict[str, Tensor]:
    """A standardiser and arrays beside it, as a learner's meta-training leaves them; nothing for None."""
    import torch

    own = {"standardiser/mean": standardiser.mean, "standardiser/scale": standardiser.scale} if standardiser else {}
    return {name: torch.from_numpy(value) for name, value in {**own, **{f"own/{name}": v for name, v in (arrays or {}).items()}}.items()}


def from_tensors(tensors: Mapping[str, Tensor]) -> tuple[Standardiser | None, dict[str, NDArray[np.float64]] | None]:
    """The inverse of `to_tensors`."""
    own = {name.removeprefix("own/"): value.numpy() for name, value in tensors.items() if name.startswith("own/")}
    found = [tensors[name].numpy() for name in ("standardiser/mean", "standardiser/scale") if name in tensors]
    return (Standardiser(*found) if found else None), own or None


def from_meta_train(rows: NDArray[np.float32]) -> Standardiser:
    """Per dimension, over meta-train rows."""
    values = rows.astype(np.float64)
    deviation = values.std(axis=0)
    return Standardiser(values.mean(axis=0), np.where(deviation > SMALLEST, deviation, np.inf))


def from_support(rows: NDArray[np.float32]) -> Standardiser:
    """The support's mean and one common scale."""
    values = rows.astype(np.float64)
    mean = values.mean(axis=0)
    common = float(np.sqrt(np.mean((values - mean) ** 2)))
    return Standardiser(mean, np.full(values.shape[1], common if common > SMALLEST else 1.0))


def meta_rows(features: Features, episodes: Sequence[LearningEpisode]) -> NDArray[np.float32]:
    """Vectors of every distinct row in these episodes, in the order of their first appearance."""
    seen: dict[tuple[str, str], Query] = {}
    for episode in episodes:
        for query in (*episode.support.queries, *episode.queries):
            seen.setdefault((episode.support.task, query.id), query)
    by_task: dict[str, list[Query]] = {}
    for (task, _), query in seen.items():
        by_task.setdefault(task, []).append(query)
    return np.concatenate([features.vectors(task, queries) for task, queries in by_task.items()])


def fit(features: Features, episodes: Sequence[LearningEpisode]) -> Standardiser | None:
    """From the rows of meta-train episodes; None when there are none."""
    return from_meta_train(meta_rows(features, episodes)) if episodes else None
