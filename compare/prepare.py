"""From a ComparisonSpec to everything that a comparison needs, looked up and checked; the model is on disk, but not in memory.

Every mistake of the user's that can be seen without the model is raised here, before anything is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from compare import meta_tasks
from compare.class_pools import ClassPools
from compare.learners.given import filled_in, with_settings
from compare.meta_tasks import MetaTasks, Pools
from compare.types import ComparisonSpec, LearningEpisode, ResolvedComparison, Support
from icl.calibration import OF_LABELS, get_calibrator
from icl.device import default_batch_tokens, resolve_device, resolve_dtype
from icl.models import ModelSource, resolve_model
from prompts import PromptBuilder, Template, load_template
from tasks import Episode, Example, IclError, Task
from tasks.classes import class_task
from tasks.episodes import episodes_sha256, resolve, sample_kshot, support_at
from tasks.load import load_task
from tasks.types import ClassPart

PROTOCOL = 3
"""Raise it with every change of grids, sizes or features that changes results under an unchanged spec."""


PARTS: tuple[ClassPart, ...] = ("train", "validation")


@dataclass(frozen=True)
class Prepared:
    """See the module's opening."""

    resolved: ResolvedComparison
    task: Task
    related: MetaTasks
    classes: Mapping[str, Task]
    """Meta-train and meta-validation classes as tasks of their own; empty where episodes have all labels."""
    builders: Mapping[str, PromptBuilder]
    """Task → its prompts; the evaluated task's first."""
    source: ModelSource
    episodes: tuple[Episode, ...]
    """As written to `episodes.jsonl`: the support of the largest K."""
    queries: tuple[tuple[Example, ...], ...]
    """Of each episode."""

    @property
    def spec(self) -> ComparisonSpec:
        return self.resolved.spec

    def pools(self) -> Pools | ClassPools:
        """Where meta-train and meta-validation episodes are drawn from: other classes of the task, or other tasks."""
        spec, k_max = self.spec, max(self.spec.k_shot)
        if spec.n_way is not None:
            return ClassPools(self.classes, n_way=spec.n_way, k_max=k_max, seed=spec.seed)
        return Pools(self.task, self.related.tasks, k_max=k_max, seed=spec.seed)

    def learning_episodes(self, k: int) -> list[LearningEpisode]:
        """The episodes at K = k: the same queries for every K."""
        return [k_shot_episode(e, q, self.task, k) for e, q in zip(self.episodes, self.queries, strict=True)]


def k_shot_episode(episode: Episode, queries: Sequence[Example], task: Task, k: int) -> LearningEpisode:
    """An episode with its queries, as learners are given it at K = k."""
    import numpy as np

    column = {label: j for j, label in enumerate(episode.labels)}
    return LearningEpisode(
        id=episode.id,
        support=Support(episode.id, episode.task, episode.labels, tuple(support_at(episode, task, k))),
        queries=tuple(example.query() for example in queries),
        targets=np.array([column[example.target] for example in queries], dtype=np.int64),
    )


def check_calibration(name: str) -> None:
    """Raises IclError for an unknown one, and for one that reads more than scores after the support set that all learners share."""
    if get_calibrator(name).needs in OF_LABELS:
        raise IclError(
            f"calibration '{name}' asks for examples beyond the support set, or for other prompts, which a comparison does not do; "
            "use --calibration none, contextual, domain-context, batch, batch-log or pmi"
        )


def prepare(spec: ComparisonSpec, data_dir: Path | None) -> Prepared:
    """Raises IclError for unknown names, a task without labels, too few examples, learners without the other tasks that they need."""
    families = {name: with_settings(name, spec.settings) for name in spec.learners}
    if stray := [name for name in spec.settings if name not in families]:
        raise IclError(f"settings are given for {stray[0]}, which is not compared; add it to --learners, or leave its settings out")
    spec = replace(spec, settings=filled_in(spec.settings))
    check_calibration(spec.calibration)
    device = resolve_device(spec.device)
    dtype = resolve_dtype(spec.dtype, device)
    task = load_task(spec.task, data_dir)
    check_kind(task)
    spec = replace(spec, k_shot=tuple(sorted(spec.k_shot)), template=spec.template or task.default_template)
    template = load_template(spec.template)
    builder = PromptBuilder(template, task)
    related, classes = MetaTasks((), ()), dict[str, Task]()
    if spec.n_way is not None:
        classes = {part: class_task(task, part) for part in PARTS}
        for part, of in classes.items():
            if len(of.labels) < spec.n_way:
                raise IclError(
                    f"--n-way {spec.n_way} needs {spec.n_way} classes for meta-{part}, but the card of '{task.name}' has {len(of.labels)} "
                    f"under classes: {part}; use a smaller --n-way"
                )
        task = class_task(task, "test")
    elif any(family.reads_other_tasks for family in families.values()):
        related = meta_tasks.load_related(task, lambda name: load_task(name, data_dir))
    for name, family in families.items():
        if family.needs_meta_train and not classes:
            meta_tasks.require_related(task, related, name)
    builders = {task.name: builder, **{other.name: builder_of(other, template) for other in related.tasks}}
    split = task.evaluated_split()
    episodes = sample_kshot(
        task, n=spec.episodes, k_shot=spec.k_shot, n_query=spec.queries, split_query=split, n_way=spec.n_way, seed=spec.seed
    )
    queries = tuple(tuple(resolve(episode, task)[1]) for episode in episodes)
    source = resolve_model(spec.model)
    resolved = ResolvedComparison(
        spec=replace(spec, device=device, dtype=dtype, batch_tokens=spec.batch_tokens or default_batch_tokens(device)),
        task_fingerprint=task.fingerprint,
        related_fingerprints=tuple(other.fingerprint for other in (*related.tasks, *classes.values())),
        model_fingerprint=source.fingerprint,
        template_sha256=tuple(b.template.sha256 for b in builders.values()),
        episodes_sha256=episodes_sha256(episodes),
        protocol=PROTOCOL,
    )
    return Prepared(resolved, task, related, classes, builders, source, tuple(episodes), queries)


def check_kind(task: Task, who: str = "icl compare needs") -> None:
    """Raises IclError for a task without labels: K is counted per label."""
    if task.kind != "classification" or len(task.labels) < 2:
        raise IclError(
            f"{who} a classification task with two labels or more, but '{task.name}' is of kind {task.kind} with "
            f"{len(task.labels)} labels; 'icl evaluate {task.name}' measures it in the context"
        )


def builder_of(task: Task, template: Template) -> PromptBuilder:
    """The evaluated task's template where it fits, so that all features are read at the same words; else the task's own."""
    try:
        return PromptBuilder(template, task)
    except IclError:
        return PromptBuilder(load_template(task.default_template), task)
