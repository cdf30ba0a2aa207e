"""Handwritten digits that come with scikit-learn (Alpaydin & Kaynak 1998): 1,797 images of 8 × 8, enlarged to 28 × 28. No download.

ten:        all ten digits, to test on what was meta-trained on other images
five-five:  0 to 4 to meta-train on, 5 to 9 to test on; nothing to validate on
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tasks.errors import unknown_name
from tasks.images.types import ImageSet, ImageTask, Part, by_class

SIDE = 28
SPLITS: dict[str, dict[Part, range]] = {"ten": {"test": range(10)}, "five-five": {"train": range(5), "test": range(5, 10)}}


def load(split: str, data_dir: Path | None) -> ImageTask:
    """Raises IclError for an unknown split."""
    if split not in SPLITS:
        raise unknown_name("split of digits", split, SPLITS)
    every = images()
    parts = {part: every.take(list(classes)) for part, classes in SPLITS[split].items()}
    return ImageTask("digits", split, parts, "scikit-learn, optical recognition of handwritten digits", "CC BY 4.0 (UCI)")


def images() -> ImageSet:
    """All ten classes."""
    from PIL import Image
    from sklearn.datasets import load_digits

    data = load_digits()
    small = np.round(data.images * (255 / 16)).astype(np.uint8)  # (n, 8, 8)
    # The drawings fill their 8 × 8; a margin as in the other sources, then 24 pixels of ink.
    large = np.zeros((len(small), SIDE, SIDE), dtype=np.uint8)
    for i, image in enumerate(small):
        large[i, 2:26, 2:26] = np.asarray(Image.fromarray(image).resize((24, 24), Image.Resampling.BICUBIC))
    return by_class(large, data.target.astype(np.int64), [str(digit) for digit in range(10)])
