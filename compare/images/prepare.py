"""From a spec to what the learners are trained and tested on. Everything that can be wrong with the input is said here."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from compare.images.learners import ImageLearner, Setting, build_learner
from compare.images.sampler import ImageSampler
from compare.images.spec import META_DATASET, TRAIN_QUERIES, ImageSpec, ResolvedImages
from icl.device import resolve_device
from tasks.errors import IclError
from tasks.images import metadataset
from tasks.images.episodes import ImageEpisode, Shape, sample, sha256
from tasks.images.sources import load_images
from tasks.images.types import ImageSet, ImageTask


@dataclass(frozen=True)
class Source:
    """Images to test on."""

    name: str
    """Task and split."""
    images: ImageSet
    within_group: bool
    episodes: tuple[ImageEpisode, ...]
    """With the largest K."""

    @property
    def chance(self) -> float:
        """What guessing gets, mean over episodes."""
        return sum(1 / len(episode.classes) for episode in self.episodes) / len(self.episodes)


@dataclass(frozen=True)
class Prepared:
    """A comparison, ready to be made."""

    spec: ImageSpec
    task: ImageTask
    domains: tuple[ImageTask, ...]
    """Those that `--meta-test` names."""
    sources: tuple[Source, ...]
    """The task's own meta-test classes first."""

    @property
    def train(self) -> ImageSet:
        """Meta-train classes."""
        return self.task.parts["train"]

    def setting(self, k: int) -> Setting:
        """What learners are built for."""
        spec, images = self.spec, self.train
        any_way = spec.protocol == META_DATASET
        sizes = (images.size, images.channels, spec.n_way, k, TRAIN_QUERIES, len(images.classes))
        return Setting(*sizes, spec.norm, spec.filters, spec.backbone, any_way)

    def learner(self, name: str, k: int) -> ImageLearner:
        """An untrained learner."""
        return build_learner(name, self.setting(k))

    def sampler(self, name: str, k: int) -> ImageSampler:
        """Meta-train tasks, the same for every learner at one K."""
        shape = Shape(self.spec.n_way, k, TRAIN_QUERIES)
        what = f"the meta-train part of {self.task.name}:{self.task.split}"
        return ImageSampler(self.train, shape, self.task.within_group, self.learner(name, k).global_labels, what)

    @cached_property
    def episode_lines(self) -> str:
        """`episodes.jsonl`."""
        each = ({"source": of.name, **episode.to_json(of.images)} for of in self.sources for episode in of.episodes)
        return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in each)

    @cached_property
    def resolved(self) -> ResolvedImages:
        """See ResolvedImages."""
        spec = self.spec
        return ResolvedImages(
            spec,
            {full_name(task): task.fingerprint() for task in (self.task, *self.domains)},
            {f"{name}/{k}": self.learner(name, k).settings for name in spec.learners for k in spec.k_shot},
            sha256(self.episode_lines),
        )


def prepare(spec: ImageSpec, data_dir: Path | None) -> Prepared:
    """Raises IclError for everything that is wrong with spec and data."""
    task = load_images(spec.task, data_dir)
    domains = tuple(load_images(name, data_dir) for name in spec.meta_test)
    spec = replace(spec, device=resolve_device(spec.device))
    for part in ("train", "test"):
        if part not in task.parts:
            raise IclError(f"{full_name(task)} has no classes to meta-{part} on; name another split ({task.name}:SPLIT)")
    train = task.parts["train"]
    if train.size < 16:
        raise IclError(f"conv4 halves an image four times and needs 16 pixels a side, but {full_name(task)} has {train.size}")
    sources: list[Source] = []
    for of in (task, *domains):
        name, images = full_name(of), of.parts["test"]
        if name in {source.name for source in sources}:
            raise IclError(f"--meta-test must name each source once, and not the task itself, but {name} stands twice; leave one out")
        if of.name == task.name and (known := set(images.classes) & set(train.classes)):
            raise IclError(
                f"--meta-test {name} must not be tested on what is meta-trained on, but {len(known)} of its {len(images.classes)} "
                f"classes are meta-train classes of {full_name(task)}; name another source"
            )
        if (images.size, images.channels) != (train.size, train.channels):
            raise IclError(
                f"--meta-test {name} has images of {_shape(images)}, but {full_name(task)} has {_shape(train)}; name sources of one shape"
            )
        episodes = _test_episodes(spec, of, name)
        sources.append(Source(name, images, of.within_group, tuple(episodes)))
    prepared = Prepared(spec, task, domains, tuple(sources))
    for k in spec.k_shot:
        for name in spec.learners:
            prepared.sampler(name, k)  # too few classes or drawings to meta-train on
    return prepared


def _test_episodes(spec: ImageSpec, task: ImageTask, name: str) -> list[ImageEpisode]:
    images, purpose = task.parts["test"], f"the meta-test part of {name}"
    if spec.protocol == META_DATASET:
        return metadataset.sample(images, n=spec.episodes, seed=spec.seed, purpose=purpose)
    shape = Shape(spec.n_way, max(spec.k_shot), spec.queries)
    return sample(images, shape, n=spec.episodes, seed=spec.seed, purpose=purpose, within_group=task.within_group)


def full_name(task: ImageTask) -> str:
    """`omniglot:random-1279`."""
    return f"{task.name}:{task.split}"


def _shape(images: ImageSet) -> str:
    return f"{images.size} × {images.size} in {images.channels} channel{'s' if images.channels > 1 else ''}"
