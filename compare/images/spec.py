"""Everything that decides a comparison on images. The ground of this folder, beside learners/types.py."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from compare.backbones.conv4 import HALVINGS, OVER, Norm
from compare.images.learners import IMAGE_LEARNERS, Setting, able
from tasks.errors import IclError, unknown_name

KIND = "compare-images"
"""Of the run, in `spec.json`."""
VERSION = 2
"""Version of what is fixed in the code: hyper-parameters, sampling, sizes. Another number is another comparison."""
DEFAULT_LEARNERS = ("protonet", "maml")
TRAIN_QUERIES = 5
"""Queries of every class in a meta-train task."""
FIXED, META_DATASET = "fixed", "meta-dataset"
PROTOCOLS = (FIXED, META_DATASET)
META_BATCH = 8
"""Tasks of an outer step."""


@dataclass(frozen=True)
class ImageSpec:
    """One comparison. Defaults end within minutes on two cores."""

    task: str
    learners: tuple[str, ...] = DEFAULT_LEARNERS
    n_way: int = 5
    k_shot: tuple[int, ...] = (1,)
    """Support images per class; every K is meta-trained for itself."""
    episodes: int = 600
    """Meta-test episodes of every source."""
    queries: int = 15
    """Queries of every class in an episode."""
    seed: int = 0
    norm: Norm = "batch"
    backbone: str = "conv4"
    filters: int = 64
    meta_steps: int = 300
    meta_batch: int = META_BATCH
    meta_test: tuple[str, ...] = ()
    """Other image tasks whose meta-test classes are tested on as well."""
    protocol: str = FIXED
    """How meta-test episodes are drawn: all of one shape, or as Meta-Dataset draws them. Meta-train tasks have one shape."""
    device: str = "auto"

    def __post_init__(self) -> None:
        for name in self.learners:
            if name not in IMAGE_LEARNERS:
                raise unknown_name("learner on images", name, IMAGE_LEARNERS)
        for option, values in {"learners": self.learners, "k-shot": self.k_shot, "meta-test": (self.task, *self.meta_test)}.items():
            if not values or len(set(values)) != len(values):
                raise IclError(f"--{option} must name each value once, but got {','.join(map(str, values)) or 'none'}")
        least = {"k-shot": min(self.k_shot), "episodes": self.episodes, "queries": self.queries, "meta-steps": self.meta_steps}
        least |= {"filters": self.filters, "meta-batch": self.meta_batch}
        for name, value in least.items():
            if value < 1:
                raise IclError(f"--{name} must be 1 or more, but is {value}")
        if self.n_way < 2:
            raise IclError(f"--n-way must be 2 or more, but is {self.n_way}")
        if self.protocol not in PROTOCOLS:
            raise unknown_name("protocol", self.protocol, PROTOCOLS)
        if self.protocol == META_DATASET and len(self.k_shot) > 1:
            raise IclError(f"--protocol {META_DATASET} draws the shots itself; --k-shot is of meta-training, and must be one number")
        if self.norm not in OVER:
            raise unknown_name("norm", self.norm, OVER)
        if self.backbone not in HALVINGS:
            raise unknown_name("backbone", self.backbone, HALVINGS)

    @property
    def reference(self) -> str:
        """The learner that the others are compared with."""
        return "protonet" if "protonet" in self.learners else self.learners[0]

    def to_json(self) -> dict[str, Any]:
        """Plain values, in the order of the fields."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> ImageSpec:
        """The inverse of `to_json`. Raises KeyError for a field that is missing."""
        known: dict[str, Any] = {f.name: values[f.name] for f in fields(cls)}
        return cls(**{**known, **{name: tuple(value) for name, value in known.items() if isinstance(value, list)}})


def everyone(protocol: str) -> tuple[tuple[str, ...], list[str]]:
    """Learners that can play by that protocol, and why the others cannot. (Which tasks and shapes does not matter for that.)"""
    usual = ImageSpec("")
    shape = (28, 1, usual.n_way, usual.k_shot[0], TRAIN_QUERIES, usual.n_way)
    found, left_out = able(Setting(*shape, usual.norm, usual.filters, usual.backbone, protocol == META_DATASET))
    return tuple(found), left_out


@dataclass(frozen=True)
class ResolvedImages:
    """A spec, and the fingerprints of what its names meant when it ran."""

    spec: ImageSpec
    data_fingerprints: dict[str, str]
    """Image task with its split → what it held."""
    learner_settings: dict[str, dict[str, float]]
    """`learner/K` → hyper-parameters."""
    episodes_sha256: str
    version: int = VERSION

    def to_json(self) -> dict[str, Any]:
        """As `spec.json` holds it."""
        return {"kind": KIND, **asdict(self), "spec": self.spec.to_json()}

    def hash(self) -> str:
        """Of the canonical JSON."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode("utf-8")).hexdigest()
