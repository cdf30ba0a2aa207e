"""From a ComparisonSpec to everything that a comparison needs, looked up and checked; the model is on disk, but not in memory.

Every mistake of the user's that can be seen without the model is raised here, before anything is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from compare import elsewhere as other_tasks
from compare import meta_tasks
from compare.class_pools import ClassPools
from compare.elsewhere import Elsewhere
from compare.everyone import LeftOut, able
from compare.learners import EVERYONE, Family, get_families
from compare.learners.given import filled_in, with_settings
from compare.learning import learning_episode
from compare.meta_tasks import MetaTasks, Pools
from compare.meta_trained import check_fits, find_version
from compare.types import ComparisonSpec, LearningEpisode, ResolvedComparison
from compare.versions import Version
from icl.calibration import OF_LABELS, get_calibrator
from icl.device import default_batch_tokens, resolve_device, resolve_dtype
from icl.models import ModelSource, resolve_model
from icl.sentences import sentence_source
from prompts import PromptBuilder, Template, load_template
from tasks import Episode, Example, IclError, Task
from tasks.classes import class_task
from tasks.episodes import episodes_sha256, resolve, sample_kshot
from tasks.load import load_task
from tasks.types import ClassPart

PROTOCOL = 5
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
    families: Mapping[str, Family]
    """Name → learner, in the order in which they are shown."""
    left_out: tuple[LeftOut, ...]
    """Those of `all` that cannot run here."""
    elsewhere: tuple[Elsewhere, ...]
    """Other tasks that are played on, and their episodes."""
    version: Version | None = None
    """A meta-trained learner from before, in the place of its own meta-training."""
    embedder: ModelSource | None = None
    """A sentence model for the features; None: the language model's hidden states."""

    @property
    def spec(self) -> ComparisonSpec:
        return self.resolved.spec

    def pools(self) -> Pools | ClassPools:
        """Where meta-train and meta-validation episodes are drawn from: other classes of the task, or other tasks."""
        return pools_of(self.spec, self.task, self.related, self.classes, self.elsewhere)

    def learning_episodes(self, k: int) -> list[LearningEpisode]:
        """The episodes at K = k: the same queries for every K."""
        return [learning_episode(self.task, e, q, k) for e, q in zip(self.episodes, self.queries, strict=True)]


def pools_of(
    spec: ComparisonSpec, task: Task, related: MetaTasks, classes: Mapping[str, Task], elsewhere: Sequence[Elsewhere]
) -> Pools | ClassPools:
    """Where meta-train and meta-validation episodes are drawn from."""
    k_max = max(spec.k_shot)
    if spec.n_way is not None:
        return ClassPools(classes, n_way=spec.n_way, k_max=k_max, seed=spec.seed)
    return Pools(task, related.tasks, k_max=k_max, seed=spec.seed, also=[test.whole for test in elsewhere])


def check_calibration(name: str) -> None:
    """Raises IclError for an unknown one, and for one that reads more than scores after the support set that all learners share."""
    if get_calibrator(name).needs in OF_LABELS:
        raise IclError(
            f"calibration '{name}' asks for examples beyond the support set, or for other prompts, which a comparison does not do; "
            "use --calibration none, contextual, domain-context, batch, batch-log or pmi"
        )


def prepare(spec: ComparisonSpec, data_dir: Path | None) -> Prepared:
    """Raises IclError for unknown names, a task without labels, too few examples, learners without the other tasks that they need."""
    families = get_families(spec.learners, spec.adapts)
    if stray := [name for name in spec.settings if name not in families]:
        raise IclError(f"settings are given for {stray[0]}, which is not compared; add it to --learners, or leave its settings out")
    families = {name: with_settings(name, family, spec.settings) for name, family in families.items()}
    spec = replace(spec, settings=filled_in(spec.settings))
    check_calibration(spec.calibration)
    device = resolve_device(spec.device)
    dtype = resolve_dtype(spec.dtype, device)
    task = load_task(spec.task, data_dir)
    check_kind(task)
    spec = replace(spec, k_shot=tuple(sorted(spec.k_shot)), template=spec.template or task.default_template)
    template = load_template(spec.template)
    builder = PromptBuilder(template, task)
    version = find_version(spec)
    elsewhere = other_tasks.load_elsewhere(spec, task, lambda name: load_task(name, data_dir))
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
        related = meta_tasks.load_related(other_tasks.without(task, elsewhere), lambda name: load_task(name, data_dir))
        other_tasks.check_apart(elsewhere, related)
    related = replace(related, notes=(*related.notes, *other_tasks.notes(elsewhere, task)))
    source, left_out = resolve_model(spec.model), tuple[LeftOut, ...]()
    needy = [name for name, family in families.items() if family.needs_meta_train and not (version and version.learner == name)]
    most_shots = pools_of(spec, task, related, classes, elsewhere).most_shots if needy else 0
    if spec.learners == (EVERYONE,):
        families, left_out = able(families, spec, task, None if classes else related, most_shots, source)
    embedder = embedder_source(spec.embedder, families)
    needy = [name for name in needy if name in families]
    for name in needy if not classes else ():
        meta_tasks.require_related(task, related, name)
    builders = {task.name: builder, **{t.name: builder_for(t, template) for t in (*related.tasks, *(e.whole for e in elsewhere))}}
    split = task.evaluated_split()
    episodes = sample_kshot(
        task, n=spec.episodes, k_shot=spec.k_shot, n_query=spec.queries, split_query=split, n_way=spec.n_way, seed=spec.seed
    )
    for name in needy:
        meta_tasks.require_rows(most_shots, max(spec.k_shot), name)
    queries = tuple(tuple(resolve(episode, task)[1]) for episode in episodes)
    if version:
        check_fits(version, [task, *(test.whole for test in elsewhere)], source, template, dtype)
    resolved = ResolvedComparison(
        spec=replace(spec, device=device, dtype=dtype, batch_tokens=spec.batch_tokens or default_batch_tokens(device)),
        task_fingerprint=task.fingerprint,
        related_fingerprints=tuple(other.fingerprint for other in (*related.tasks, *classes.values())),
        model_fingerprint=source.fingerprint,
        template_sha256=tuple(b.template.sha256 for b in builders.values()),
        episodes_sha256=episodes_sha256(episodes),
        meta_test_fingerprints=tuple(test.task.fingerprint for test in elsewhere),
        meta_test_sha256=tuple(episodes_sha256(test.episodes) for test in elsewhere),
        meta_trained_sha256=version.sha256 if version else "",
        protocol=PROTOCOL,
        everyone=tuple(families) if spec.learners == (EVERYONE,) else (),
        embedder_fingerprint=embedder.fingerprint if embedder else "",
    )
    return Prepared(
        resolved, task, related, classes, builders, source, tuple(episodes), queries, families, left_out, elsewhere, version, embedder
    )


def embedder_source(name: str, families: Mapping[str, Family]) -> ModelSource | None:
    """The sentence model, if one is asked for. Raises IclError where it is not to be had, or where nobody would read its vectors."""
    if not name:
        return None
    if not any(family.uses_features for family in families.values()):
        raise IclError(
            f"--embedder makes features for linear-probe, the metric learners and heads, but here are {', '.join(families)}; leave it out"
        )
    return sentence_source(name)


def check_kind(task: Task, who: str = "icl compare needs") -> None:
    """Raises IclError for a task without labels: K is counted per label."""
    if task.kind != "classification" or len(task.labels) < 2:
        raise IclError(
            f"{who} a classification task with two labels or more, but '{task.name}' is of kind {task.kind} with "
            f"{len(task.labels)} labels; 'icl evaluate {task.name}' measures it in the context"
        )


def builder_for(task: Task, template: Template) -> PromptBuilder:
    """The evaluated task's template where it fits, so that all features are read at the same words; else the task's own."""
    try:
        return PromptBuilder(template, task)
    except IclError:
        return PromptBuilder(load_template(task.default_template), task)
