"""Images by class: what few-shot image tasks are drawn from. The ground: imports nothing from its siblings."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tasks.errors import DataError

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")
"""Meta-train, meta-validation and meta-test classes."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class ImageSet:
    """Some classes and all their images, sorted by class."""

    classes: tuple[str, ...]
    """Names, all different."""
    images: Pixels
    """(n, height, width) grey, ink is bright, or (n, height, width, 3) colour."""
    starts: NDArray[np.int64]
    """(classes + 1,): the images of class c are rows starts[c] to starts[c + 1]."""
    groups: tuple[str, ...] = ()
    """What each class belongs to (an alphabet, a script); empty where there is no hierarchy."""

    def __post_init__(self) -> None:
        if len(set(self.classes)) != len(self.classes):
            raise DataError("every class of images must have a name of its own, but some stand twice")
        if len(self.starts) != len(self.classes) + 1 or int(self.starts[-1]) != len(self.images):
            raise DataError(f"{len(self.classes)} classes and {len(self.images)} images do not fit together")

    @property
    def counts(self) -> NDArray[np.int64]:
        """(classes,): images of each class."""
        return np.diff(self.starts)

    @property
    def size(self) -> int:
        """Pixels a side."""
        return int(self.images.shape[1])

    @property
    def channels(self) -> int:
        """1 or 3."""
        return 1 if self.images.ndim == 3 else int(self.images.shape[3])

    def id(self, row: int) -> str:
        """Class and number within the class: `Greek/character07#12`."""
        of = int(np.searchsorted(self.starts, row, side="right")) - 1
        return f"{self.classes[of]}#{row - int(self.starts[of])}"

    def take(self, chosen: Sequence[int]) -> ImageSet:
        """Some of the classes, in this order."""
        rows = [np.arange(self.starts[c], self.starts[c + 1]) for c in chosen]
        at = np.concatenate(rows) if rows else np.zeros(0, np.int64)
        groups = tuple(self.groups[c] for c in chosen) if self.groups else ()
        return ImageSet(tuple(self.classes[c] for c in chosen), self.images[at], starts_of([len(r) for r in rows]), groups)

    def rotated(self) -> ImageSet:
        """Every class four times: as it is and turned by 90°, 180° and 270°, as classes of their own (Santoro et al. 2016)."""
        turned = [np.rot90(self.images, turns, axes=(1, 2)) for turns in range(4)]
        names = tuple(name if turns == 0 else f"{name}@{90 * turns}" for turns in range(4) for name in self.classes)
        counts = list(self.counts) * 4
        return replace(self, classes=names, images=np.concatenate(turned), starts=starts_of(counts), groups=self.groups * 4)

    def fingerprint(self) -> str:
        """Of names and pixels, hexadecimal sha256."""
        digest = hashlib.sha256("\x1f".join([*self.classes, *self.groups]).encode("utf-8"))
        for array in (self.starts, self.images):
            digest.update(str((array.shape, array.dtype)).encode("ascii"))
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def starts_of(counts: Sequence[int]) -> NDArray[np.int64]:
    """Images per class → where each class begins, and the end."""
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64)


def by_class(images: Pixels, labels: NDArray[Any], names: Sequence[str], groups: Sequence[str] = ()) -> ImageSet:
    """Images in any order, with the number of the class of each, as a set. Within a class the order stays."""
    order = np.argsort(labels, kind="stable")
    counts = np.bincount(labels, minlength=len(names))
    return ImageSet(tuple(names), images[order], starts_of(list(counts)), tuple(groups))


@dataclass(frozen=True)
class ImageTask:
    """An image source with one of its splits into classes to meta-train on, to validate on and to test on."""

    name: str
    split: str
    """Which split; figures of different splits are never compared."""
    parts: Mapping[Part, ImageSet]
    source: str
    """Where the images came from."""
    licence: str
    notes: tuple[str, ...] = ()
    """What sets this apart from the published protocol; said beside every result."""
    within_group: bool = field(default=False)
    """Whether all classes of an episode come from one group."""

    def __post_init__(self) -> None:
        seen: dict[str, str] = {}
        for part, images in self.parts.items():
            for name in images.classes:
                if name in seen:
                    raise DataError(
                        f"{self.name}: the parts must have different classes, but class '{name}' stands in {seen[name]} and in {part}; "
                        "take it out of one of them"
                    )
                seen[name] = part

    def fingerprint(self) -> str:
        """Of the split's name and of all parts."""
        known = [self.name, self.split, str(self.within_group), *(f"{part} {images.fingerprint()}" for part, images in self.parts.items())]
        return hashlib.sha256("\x1f".join(known).encode("utf-8")).hexdigest()
