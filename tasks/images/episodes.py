"""N-way K-shot episodes of images: which rows are shown, which are asked.

    classes:  N of the part's classes in random order (their place is their label)       rows of a class:  [ queries | support ]

Every class draws an order of its images; the first are its queries, the next K its support. So queries do not depend on K, and the
support of a smaller K is the beginning of a larger one's. Rows alternate between the classes: one of every class, then the next of each.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.errors import IclError
from tasks.images.types import ImageSet
from tasks.rng import keyed_rng

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Shape:
    """How large an episode is."""

    n_way: int
    k_shot: int
    """Support images of every class."""
    n_query: int
    """Queries of every class."""


@dataclass(frozen=True)
class ImageEpisode:
    """Rows of one `ImageSet`. Labels are places in `classes`."""

    id: str
    classes: Rows
    """(n_way,): numbers of the classes."""
    support: Rows
    """(n_support,): rows of the set."""
    support_labels: Rows
    """(n_support,)"""
    query: Rows
    """(n_query,)"""
    query_labels: Rows
    """(n_query,)"""

    def at(self, k: int) -> ImageEpisode:
        """The same episode with the first k support images of every class. Raises IclError when there are fewer."""
        n = len(self.classes) * k
        if n > len(self.support):
            raise IclError(f"episode {self.id} has {len(self.support) // len(self.classes)} support images per class, but K is {k}")
        return ImageEpisode(self.id, self.classes, self.support[:n], self.support_labels[:n], self.query, self.query_labels)

    def to_json(self, images: ImageSet) -> dict[str, Any]:
        """Names instead of numbers."""
        return {
            "id": self.id,
            "classes": [images.classes[int(c)] for c in self.classes],
            "support": [images.id(int(row)) for row in self.support],
            "query": [images.id(int(row)) for row in self.query],
        }


def draw(images: ImageSet, shape: Shape, rng: np.random.Generator, id: str = "", *, within_group: bool = False) -> ImageEpisode:
    """One episode. Call `check` once before: nothing is checked here."""
    among = _one_group(images, shape, rng) if within_group else np.arange(len(images.classes))
    classes = among[rng.choice(len(among), shape.n_way, replace=False)]
    wanted = shape.n_query + shape.k_shot
    drawn = np.stack([images.starts[c] + rng.choice(int(images.counts[c]), wanted, replace=False) for c in classes])  # (way, wanted)
    labels = np.arange(shape.n_way)
    return ImageEpisode(
        id,
        classes,
        support=drawn[:, shape.n_query :].T.ravel(),
        support_labels=np.tile(labels, shape.k_shot),
        query=drawn[:, : shape.n_query].T.ravel(),
        query_labels=np.tile(labels, shape.n_query),
    )


def _one_group(images: ImageSet, shape: Shape, rng: np.random.Generator) -> Rows:
    """The classes of a group that has enough of them; groups are drawn with equal chance."""
    able = [classes for classes in group_members(images).values() if len(classes) >= shape.n_way]
    return able[int(rng.integers(len(able)))]


def group_members(images: ImageSet) -> dict[str, Rows]:
    """Group → numbers of its classes."""
    found: dict[str, list[int]] = {}
    for c, group in enumerate(images.groups):
        found.setdefault(group, []).append(c)
    return {group: np.asarray(classes) for group, classes in found.items()}


def check(images: ImageSet, shape: Shape, what: str, *, within_group: bool = False) -> None:
    """Raises IclError when episodes of this shape cannot be drawn. `what` names the images."""
    if shape.n_way < 2 or shape.k_shot < 1 or shape.n_query < 1:
        raise IclError(
            f"an episode needs 2 ways, 1 shot and 1 query per class at least, but got {shape.n_way}, {shape.k_shot} and {shape.n_query}"
        )
    if within_group:
        if not images.groups:
            raise IclError(f"{what} has no groups of classes, so no episode can stay within one")
        most = max(len(classes) for classes in group_members(images).values())
        if shape.n_way > most:
            raise IclError(f"at most {most} ways fit into one group of {what}, but got {shape.n_way}; use --n-way {most}")
    elif shape.n_way > len(images.classes):
        advice = f"use --n-way {len(images.classes)}" if len(images.classes) >= 2 else "use another split"
        raise IclError(f"{what} has {len(images.classes)} classes, but {shape.n_way} ways were asked for; {advice}")
    fewest, wanted = int(images.counts.min()), shape.k_shot + shape.n_query
    if fewest < wanted:
        name = images.classes[int(images.counts.argmin())]
        raise IclError(
            f"{shape.k_shot} shots and {shape.n_query} queries per class need {wanted} images of every class, but {what} has {fewest} of "
            f"{name}; use a smaller --k-shot or fewer --queries"
        )


def sample(images: ImageSet, shape: Shape, *, n: int, seed: int, purpose: str, within_group: bool = False) -> list[ImageEpisode]:
    """n episodes, each keyed by (seed, purpose, its number): asking for more leaves the first ones as they are."""
    check(images, shape, purpose, within_group=within_group)
    return [draw(images, shape, keyed_rng(seed, "image episode", purpose, i), f"e{i:04d}", within_group=within_group) for i in range(n)]


def lines(episodes: Sequence[ImageEpisode], images: ImageSet) -> str:
    """One line of JSON per episode: what `episodes.jsonl` holds."""
    return "".join(json.dumps(episode.to_json(images), ensure_ascii=False) + "\n" for episode in episodes)


def sha256(text: str) -> str:
    """Of the lines of all episodes."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def write(path: Path, text: str) -> None:
    """Keeps the lines."""
    path.write_text(text, encoding="utf-8")
