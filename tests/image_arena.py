"""A toy task of images that trains in a second: 16 × 16, every class a blob at its own place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compare.images.learners import Setting
from tasks import keyed_rng
from tasks.images.sources import IMAGE_SOURCES, Source
from tasks.images.types import ImageSet, ImageTask, Part, by_class

SIDE, EACH = 16, 12
SETTING = Setting(SIDE, 1, 3, 2, 2, 12, "layer", 4)


def blobs(classes: int, purpose: str, groups: int = 0) -> ImageSet:
    """Classes of EACH images."""
    images = []
    for c in range(classes):
        rng = keyed_rng(0, "blobs", purpose, c)
        pattern = rng.random((4, 4)) > 0.5
        for _ in range(EACH):
            noisy = 200.0 * np.kron(pattern, np.ones((4, 4))) + 30 * rng.random((SIDE, SIDE))
            images.append(noisy.astype(np.uint8))
    labels = np.repeat(np.arange(classes), EACH)
    names = [f"{purpose}{c}" for c in range(classes)]
    return by_class(np.stack(images), labels, names, [f"g{c % groups}" for c in range(classes)] if groups else ())


SIZES: dict[Part, int] = {"train": 12, "validation": 5, "test": 8}


def load(split: str, data_dir: Path | None) -> ImageTask:
    """Splits `a` and `b` of other classes; `untested` has nothing to test on."""
    parts = {part: blobs(n, f"{split}-{part}-") for part, n in SIZES.items() if split != "untested" or part != "test"}
    return ImageTask("blobs", split, parts, "made here", "none", ("blobs are easy",))


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the image source `blobs`."""
    monkeypatch.setitem(IMAGE_SOURCES, "blobs", Source(load, "a", "blobs"))
