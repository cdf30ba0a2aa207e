"""Episodes of Meta-Dataset's shape (Triantafillou et al. 2020, section 3.2): ways, shots and their balance are drawn, too.

    ways     N ~ U{5 … min(50, classes)};  with a hierarchy: a group first, then its classes
    queries  q = min(10, ⌊min_c n_c / 2⌋) of every class                         n_c: images of class c
    support  |S| = min(500, Σ_c ⌈β min(100, n_c − q)⌉),   β ~ U(0, 1]
    shots    k_c = min(⌊R_c (|S| − N)⌋ + 1, n_c − q),     R_c ∝ e^{α_c} n_c,   α_c ~ U[log ½, log 2)

The benchmark's own images are ten data sets, eight of which are not here: figures are not comparable with its table; the protocol is.
"""

from __future__ import annotations

import math

import numpy as np

from tasks.errors import IclError
from tasks.images.episodes import ImageEpisode, Rows, group_members
from tasks.images.types import ImageSet
from tasks.rng import keyed_rng

MIN_WAYS, MAX_WAYS = 5, 50
MAX_QUERY = 10
MAX_SUPPORT = 500
MAX_PER_CLASS = 100
"""What one class can add to the size of a support set."""


def sample(images: ImageSet, *, n: int, seed: int, purpose: str) -> list[ImageEpisode]:
    """n episodes, each keyed by (seed, purpose, its number). Raises IclError for fewer than MIN_WAYS classes, or one image of a class."""
    check(images, purpose)
    return [draw(images, keyed_rng(seed, "meta-dataset episode", purpose, i), f"m{i:04d}") for i in range(n)]


def check(images: ImageSet, what: str) -> None:
    """Raises IclError when no such episode can be drawn."""
    if not _able(images):
        raise IclError(
            f"Meta-Dataset's protocol needs {MIN_WAYS} classes at least (of one group, where there are groups), but {what} has fewer"
        )
    if int(images.counts.min()) < 2:
        name = images.classes[int(images.counts.argmin())]
        raise IclError(f"Meta-Dataset's protocol needs 2 images of every class, but {what} has fewer of {name}")


def _able(images: ImageSet) -> list[Rows]:
    """Classes that may meet in an episode: those of a group, or all of them where there are none."""
    among = list(group_members(images).values()) if images.groups else [np.arange(len(images.classes))]
    return [classes for classes in among if len(classes) >= MIN_WAYS]


def draw(images: ImageSet, rng: np.random.Generator, id: str = "") -> ImageEpisode:
    """One episode."""
    able = _able(images)
    among = able[int(rng.integers(len(able)))]
    ways = int(rng.integers(MIN_WAYS, min(MAX_WAYS, len(among)) + 1))
    classes = rng.choice(among, ways, replace=False)
    counts = images.counts[classes]
    n_query = min(MAX_QUERY, int(counts.min()) // 2)
    shots = draw_shots(counts, counts - n_query, rng)
    rows = [
        images.starts[c] + rng.choice(int(images.counts[c]), n_query + int(k), replace=False) for c, k in zip(classes, shots, strict=True)
    ]
    labels = np.arange(ways)
    return ImageEpisode(
        id,
        classes,
        support=np.concatenate([of[n_query:] for of in rows]),
        support_labels=np.repeat(labels, shots),
        query=np.concatenate([of[:n_query] for of in rows]),
        query_labels=np.repeat(labels, n_query),
    )


def draw_shots(counts: Rows, left: Rows, rng: np.random.Generator) -> Rows:
    """Support images of each class. `counts`: images of each, `left`: those that are no queries."""
    beta = 1.0 - rng.random()  # U(0, 1]
    size = min(MAX_SUPPORT, int(np.ceil(beta * np.minimum(MAX_PER_CLASS, left)).sum()))
    weight = np.exp(rng.uniform(math.log(0.5), math.log(2.0), size=len(counts))) * counts
    wanted = np.floor(weight / weight.sum() * (size - len(counts))).astype(np.int64) + 1
    shots: Rows = np.minimum(wanted, left)
    return shots
