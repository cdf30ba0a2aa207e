"""`icl compare meta-train`: one learner, meta-trained on the tasks of a workspace, in versions that go on as tasks come.

The first version chooses its settings on meta-validation episodes, as a comparison does. A later one keeps settings, scale of features,
parameters and optimiser of the one before, and takes more outer steps on episodes of all tasks there are by then, old and new in turn.
Killed in the middle, the same command goes on from the state of a few seconds before and ends in the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from compare import search
from compare.course import WATCHED, Course
from compare.diverged import DivergedLearner
from compare.extractors import HiddenStates
from compare.features import FeatureStore
from compare.journal import Forgetful, check_same_spec
from compare.kept import KeptFeatures, identity_of
from compare.learners import Family, Tools, get_family
from compare.learners.head import HeadLearner
from compare.learners.lm_meta import METHODS as GRADIENT_BASED
from compare.learners.types import Ledger
from compare.meta_tasks import MetaEpisodes, Pools
from compare.midway import Midway
from compare.prepare import builder_for
from compare.types import DEFAULT_MODEL
from compare.versions import Learnt, Version, newest, spec_sha256, write_version
from icl.device import default_batch_tokens, keep_freed_memory, resolve_device, resolve_dtype
from icl.encode import Encoder
from icl.engine.store import ScoreStore, store_path
from icl.environment import describe
from icl.events import Events, Quiet
from icl.models import ModelSource, load_model, resolve_model
from prompts import PromptBuilder, Template, load_template
from tasks import IclError, Task, keyed_rng
from tasks.cache import locked
from tasks.load import load_task
from tasks.workspace import SETTING, workspace_card, workspace_names

PROTOCOL = 3
"""Raise it when going on from a version would no longer be what it was: a later version must have the same."""


@dataclass(frozen=True)
class Wish:
    """What is to be meta-trained."""

    learner: str
    workspace: Path
    tasks: tuple[str, ...] = ()
    """Names or cards; none: all tasks of the workspace that have the labels."""
    k_shot: int = 4
    model: str = DEFAULT_MODEL
    template: str = ""
    """That of the first task unless given."""
    seed: int = 0
    dtype: str = "auto"
    device: str = "auto"
    batch_tokens: int | None = None
    meta_steps: int = 300
    """Outer steps of this version."""

    @property
    def home(self) -> Path:
        """Where its versions are."""
        return self.workspace / "meta-trained" / self.learner


def meta_train(wish: Wish, *, go_on: bool, data_dir: Path | None = None, events: Events | None = None) -> Version:
    """The next version, written. `go_on`: from the newest there is.

    Raises IclError for a learner without outer steps, for tasks without common labels, for a version that exists where none is gone on
    with or the other way round, and for one of another spec.
    """
    events = events or Quiet()
    family = _family(wish)
    before = newest(wish.home)
    if go_on and before is None:
        raise IclError(f"--continue needs a version to go on from, but {wish.home} has none; leave --continue out for the first")
    if not go_on and before is not None:
        raise IclError(f"{wish.home} has version {before.number} already; --continue goes on from it, another --workspace begins anew")
    events.phase("data")
    tasks, labels, notes = _tasks(wish, before, data_dir)
    for note in notes:
        events.note(note)
    with locked(wish.home, SETTING):
        if newest(wish.home) != before:
            raise IclError(f"another process has made a version in {wish.home} meanwhile; ask again, with --continue")
        return Training(wish, family, tasks, labels, before, events).run()


def _family(wish: Wish) -> Family:
    family = get_family(wish.learner)
    if wish.learner not in GRADIENT_BASED:
        known = ", ".join(GRADIENT_BASED)
        raise IclError(f"meta-train needs a learner whose outer steps move a head, but {wish.learner} is none; choose one of {known}")
    for name, value in {"k-shot": wish.k_shot, "meta-steps": wish.meta_steps}.items():
        if value < 1:
            raise IclError(f"--{name} must be 1 or more, but is {value}")
    return family


def _tasks(wish: Wish, before: Version | None, data_dir: Path | None) -> tuple[list[Task], tuple[str, ...], list[str]]:
    """What is learnt from, its labels, and what is left out."""
    names = wish.tasks or workspace_names(wish.workspace)
    if not names:
        raise IclError(f"the workspace {wish.workspace} has no tasks; add some with 'icl tasks add CARD', or name tasks of the library")
    found = [load_task(workspace_card(name, wish.workspace) or name, data_dir) for name in names]  # one of this workspace before any other
    classify = [task for task in found if task.kind == "classification"]
    labels = tuple(before.spec["labels"]) if before and not wish.tasks else _labels(wish, classify)
    fit = [task for task in classify if set(labels) <= set(task.labels)]
    left_out = [task.name for task in found if task.name not in {t.name for t in fit}]
    if left_out and wish.tasks:
        raise IclError(f"tasks that are named must have the labels {', '.join(labels)}, but not so {', '.join(left_out)}; leave them out")
    if not fit:
        raise IclError(f"no task of the workspace {wish.workspace} has the labels {', '.join(labels)}; add one with 'icl tasks add CARD'")
    return fit, labels, [f"'{name}' is not learnt from: it has not the labels {', '.join(labels)}" for name in left_out]


def _labels(wish: Wish, tasks: Sequence[Task]) -> tuple[str, ...]:
    """Those of the first task that is named; without names those that all have."""
    if wish.tasks and tasks:
        return tasks[0].labels
    shared = tuple(label for label in (tasks[0].labels if tasks else ()) if all(label in task.labels for task in tasks))
    if len(shared) < 2:
        raise IclError(
            f"the classification tasks of the workspace {wish.workspace} must share two labels or more, but share "
            f"{', '.join(shared) or 'none'}; name those to learn from: icl compare meta-train {wish.learner} TASK TASK…"
        )
    return shared


@dataclass
class Training:
    """One version in the making."""

    wish: Wish
    family: Family
    tasks: list[Task]
    labels: tuple[str, ...]
    before: Version | None
    events: Events

    def run(self) -> Version:
        """Everything that needs the model."""
        wish = self.wish
        source, template = resolve_model(wish.model), load_template(self.template)
        builders = {task.name: builder_for(task, template) for task in self.tasks}
        spec = self._spec(source, template)
        if self.before is not None:
            spec |= {"settings": self.before.spec["settings"]}
            if (wanted := spec_sha256(spec)) != self.before.spec_sha256:
                different = ", ".join(name for name in spec if spec[name] != self.before.spec.get(name))
                raise IclError(
                    f"version {self.before.number} in {wish.home} was made with spec {self.before.spec_sha256}, but now the spec is "
                    f"{wanted} (other {different}); ask for the same, or use another --workspace"
                )
        pools = Pools(replace(self.tasks[0], labels=self.labels, splits={}), self.tasks, k_max=wish.k_shot, seed=wish.seed)
        tools = self._load(source, builders, pools)
        meta = pools.episodes(wish.k_shot)
        self.events.phase("meta-train")
        places = Places(self, spec)
        learner = self._first(tools, meta, places) if self.before is None else self._next(tools, meta, places, self.before)
        return self._written(learner, spec)

    @property
    def template(self) -> str:
        """The one that is asked for, or that of the version before, or the first task's own."""
        return self.wish.template or (self.before.template if self.before else self.tasks[0].default_template)

    def _spec(self, source: ModelSource, template: Template) -> dict[str, Any]:
        """All that a later version must share with this one, but the settings."""
        wish, device = self.wish, resolve_device(self.wish.device)
        return {
            "learner": wish.learner,
            "labels": list(self.labels),
            "k_shot": wish.k_shot,
            "model_fingerprint": source.fingerprint,
            "template_sha256": template.sha256,
            "dtype": resolve_dtype(wish.dtype, device),
            "seed": wish.seed,
            "protocol": PROTOCOL,
        }

    def _load(self, source: ModelSource, builders: dict[str, PromptBuilder], pools: Pools) -> Tools:
        from icl.engine.hf import HFEngine

        wish, device = self.wish, resolve_device(self.wish.device)
        dtype = resolve_dtype(wish.dtype, device)
        self.events.phase("load")
        keep_freed_memory()
        loaded = load_model(source, dtype, device)
        engine = HFEngine(loaded.model, loaded.tokenizer, wish.batch_tokens or default_batch_tokens(device))
        encoder = Encoder(loaded.tokenizer)
        identity = identity_of(source, engine, dtype, describe(device, dtype))
        kept = KeptFeatures(ScoreStore(store_path()), identity, Ledger())
        store = FeatureStore(HiddenStates(engine, encoder, builders, loaded.context_window), kept)
        self.events.phase("features")
        store.compute([store.text(task, example.query()) for task, example in pools.examples()], self.events.tokens)
        steps = wish.meta_steps + (self.before.steps if self.before else 0)
        return Tools(store, engine, encoder, builders, loaded.context_window, "none", steps)

    def _first(self, tools: Tools, meta: MetaEpisodes, places: Places) -> HeadLearner:
        learner = search.choose(self.family, tools, self.wish.k_shot, meta, self.wish.seed, memory=places).learner
        if isinstance(learner, DivergedLearner):
            raise IclError(f"{learner.reason}, whatever its settings; meta-train with fewer --meta-steps")
        assert isinstance(learner, HeadLearner)  # all families that are let in here are
        return learner

    def _next(self, tools: Tools, meta: MetaEpisodes, places: Places, before: Version) -> HeadLearner:
        wish, number = self.wish, self.number
        course = Course(meta.train[:WATCHED], meta.validation[:WATCHED], places.midway(f"v{number}"), begin=before.state())
        settings = next(entry for entry in self.family.grid if asdict(entry) == before.spec["settings"])
        untrained = self.family.build(replace(tools, course=course), settings)
        assert isinstance(untrained, HeadLearner)
        rng = keyed_rng(wish.seed, "meta-train", wish.learner, wish.k_shot, number)
        with course.timed():
            return untrained.with_learnt(before.learnt(), before.meta_flops).meta_train(meta.train, rng)

    def _written(self, learner: HeadLearner, spec: dict[str, Any]) -> Version:
        course, before, number = learner.tools.course, self.before, self.number
        assert course.end is not None  # it was trained now
        known = {task.fingerprint: task for task in (before.tasks if before else ())}
        now = {task.fingerprint: Learnt(task.name, task.fingerprint, task.overlaps, number) for task in self.tasks}
        version = Version(
            path=self.wish.home / f"v{number}.json",
            number=number,
            spec={**spec, "settings": asdict(learner.settings)},
            tasks=tuple({**known, **{key: task for key, task in now.items() if key not in known}}.values()),
            steps=int(course.end.step),
            model=self.wish.model,
            template=self.template,
            meta_flops=learner.meta_flops,
            seconds=course.seconds + (before.seconds if before else 0.0),
            points=tuple(course.points),
        )
        write_version(version, learner.learnt(), course.end)
        for path in self.wish.home.glob(MIDWAY.format("*")):
            path.unlink()
        return version

    @property
    def number(self) -> int:
        """Of the version in the making."""
        return self.before.number + 1 if self.before else 1


MIDWAY = "midway{}.safetensors"
"""Where each meta-training of a version stands; of the first version there is one for every setting that is tried."""


class Places(Forgetful):
    """Keeps where every meta-training stands or ended, and nothing else: playing is a matter of seconds here."""

    def __init__(self, training: Training, spec: Mapping[str, Any]) -> None:
        """A state of another `spec` is none of this training's: it begins anew."""
        self.home = training.wish.home
        what = [task.fingerprint for task in training.tasks] + [str(training.wish), spec_sha256(spec)]
        self.what = hashlib.sha256("\x1f".join(what).encode("utf-8")).hexdigest()

    def midway(self, key: str) -> Midway:
        """See Memory."""
        place = self.home / MIDWAY.format("-" + hashlib.sha256(key.encode("utf-8")).hexdigest()[:8])
        return Midway(place, f"{key}/{self.what}", "", check_same_spec, lambda: self.home.mkdir(parents=True, exist_ok=True))
