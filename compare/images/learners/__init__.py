"""The learners that can be compared on images: one family per file, one entry per learner here."""

from __future__ import annotations

from collections.abc import Callable

from compare.images.learners import gradient, metric, pretrained, reading
from compare.images.learners.types import ImageLearner, Setting, Work
from tasks.errors import IclError, unknown_name

IMAGE_LEARNERS: dict[str, Callable[[str, Setting], ImageLearner]] = {
    "protonet": metric.build,
    "matching-net": metric.build,
    "maml": gradient.build,
    "fomaml": gradient.build,
    "reptile": gradient.build,
    "anil": gradient.build,
    "meta-sgd": gradient.build,
    "fine-tune": pretrained.build,
    "linear-probe": pretrained.build,
    "snail": reading.build,
    "mann": reading.build,
    "in-context-transformer": reading.build,
}
"""Name → how it is built, in the order in which learners are shown."""


def build_learner(name: str, setting: Setting) -> ImageLearner:
    """An untrained learner. Raises IclError for an unknown name."""
    if name not in IMAGE_LEARNERS:
        raise unknown_name("learner on images", name, IMAGE_LEARNERS)
    return IMAGE_LEARNERS[name](name, setting)


def able(setting: Setting) -> tuple[list[str], list[str]]:
    """Names of those that can learn such tasks, and why the others cannot, a sentence each."""
    found, left_out = [], []
    for name in IMAGE_LEARNERS:
        try:
            build_learner(name, setting)
        except IclError as error:
            left_out.append(str(error))
        else:
            found.append(name)
    return found, left_out


__all__ = ["IMAGE_LEARNERS", "ImageLearner", "Setting", "Work", "able", "build_learner"]
