"""Image sources by name: `SOURCE` or `SOURCE:SPLIT`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tasks.errors import IclError, unknown_name
from tasks.images import digits, glyphs, miniimagenet, omniglot
from tasks.images.types import ImageTask


@dataclass(frozen=True)
class Source:
    """Where images come from."""

    load: Callable[[str, Path | None], ImageTask]
    """Split and data folder → the task."""
    default: str
    """The split of a name without one."""
    about: str


IMAGE_SOURCES: dict[str, Source] = {
    "glyphs": Source(glyphs.load, glyphs.DEFAULT, "characters of the fonts that come with matplotlib; no download"),
    "omniglot": Source(omniglot.load, "random", "handwritten characters of 50 alphabets, 20 drawings each"),
    "miniimagenet": Source(miniimagenet.load, miniimagenet.SPLIT, "photographs of 100 classes, from a local folder"),
    "digits": Source(digits.load, "ten", "handwritten digits of scikit-learn; no download"),
}
"""Name → source."""


def is_image_task(name: str) -> bool:
    """Whether a name is that of an image source, with or without a split."""
    return name.partition(":")[0] in IMAGE_SOURCES


def load_images(name: str, data_dir: Path | None = None) -> ImageTask:
    """`omniglot`, `glyphs:code-points`. Raises IclError for an unknown name or split, and for data that is absent or damaged."""
    source, colon, split = name.partition(":")
    if source not in IMAGE_SOURCES:
        raise unknown_name("image source", source, IMAGE_SOURCES)
    if colon and not split:
        raise IclError(f"after the colon of '{name}' a split must be named; leave the colon out for the source's own")
    return IMAGE_SOURCES[source].load(split or IMAGE_SOURCES[source].default, data_dir)
