"""`compare`: a spec in, a run on disk out.

card → task → episodes.jsonl → features (once) → per K and learner: search on meta-validation → adapt, predict → paired statistics → run

Every meta-trained learner and every played episode is kept as it is finished (compare/journal.py), and every few seconds where a
meta-training stands (compare/midway.py), so a comparison that was interrupted or killed goes on. Features are kept in the score store.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from compare import meta_tasks, meta_trained, search
from compare.accounts import Accounts, total
from compare.cost import Meter, PrefixCosts, splits
from compare.extractors import HiddenStates, Sentences
from compare.features import FeatureStore
from compare.frame import find_or_make, make_alone
from compare.journal import Journal, check_same_spec
from compare.kept import KeptFeatures, KeptScores, identity_of, identity_of_sentences
from compare.label_probe import Probe, is_probed, probe
from compare.learners import LEARNERS, Tools
from compare.learners.in_context import InContext
from compare.learners.types import Ledger
from compare.learners.weights import base_engine
from compare.lm.bought import bought
from compare.meta_tasks import MetaEpisodes
from compare.once import played_once
from compare.play import Played, play
from compare.prepare import Prepared, prepare
from compare.probes import FILE as TRACES
from compare.probes import Probes
from compare.results import Json, Result, cost_json, public_rows, summary_json, write_predictions
from compare.settingsfile import write_settings
from compare.types import ComparisonSpec, Learner, LearningEpisode, spec_sha256
from icl.cost import Clock
from icl.device import keep_freed_memory
from icl.encode import Encoder
from icl.engine.store import ScoreStore, store_path
from icl.engine.types import ScoreRequest
from icl.environment import describe, version
from icl.events import Events, Quiet
from icl.models import load_model
from icl.runs import Draft, write_json
from icl.runs.files import damaged, read_json, writing
from icl.sentences import SentenceModel
from tasks import Task, keyed_rng
from tasks.episodes import write_episodes

LEAST_EPISODES = 2
"""Played under any budget: one has no interval."""


@dataclass(frozen=True)
class ComparisonRun:
    """A finished comparison, read from its directory."""

    dir: Path

    @property
    def name(self) -> str:
        """The directory's name."""
        return self.dir.name

    def read(self, name: str) -> dict[str, Any]:
        """`spec`, `environment`, `summary` or `cost`. Raises IclError when the file is missing or broken."""
        return read_json(self.dir / f"{name}.json")

    def to_json(self) -> dict[str, Any]:
        """What `icl compare --json` prints."""
        summary, facts = self.read("summary"), self.read("environment")["run"]
        return {
            "run": self.name,
            "dir": str(self.dir),
            "episodes_sha256": summary["episodes_sha256"],
            "n_episodes": facts["n_episodes"],
            "rows": public_rows(summary, self.read("cost")),
        }


def compare(
    spec: ComparisonSpec,
    *,
    out: str | Path = "runs",
    data_dir: str | Path | None = None,
    fresh: bool = False,
    probes: bool = True,
    events: Events | None = None,
) -> ComparisonRun:
    """Compares learners on the same episodes, and returns the finished run.

    `out` is the directory of runs; `data_dir` a local mirror of hub data; `probes`: whether to measure more for the report, which changes
    no result (compare/probes.py). A finished run of the same spec is returned as it is, unless `fresh`; one that was interrupted goes on.
    Raises IclError for every mistake of the user's.
    """
    events = events or Quiet()
    clock = Clock()
    events.phase("data")
    with clock.phase("prepare"):
        prepared = prepare(spec, Path(data_dir) if data_dir else None)
    for note in (*prepared.related.notes, *map(str, prepared.left_out)):
        events.note(note)
    first = Path(out) / f"compare-{prepared.task.name}-{prepared.resolved.hash()[:10]}"
    return ComparisonRun(find_or_make(first, fresh, events, lambda draft: _make(prepared, draft, clock, events, fresh, probes)))


def resume(directory: Path, *, data_dir: Path | None = None, events: Events | None = None) -> ComparisonRun:
    """Goes on with a comparison that was begun in that directory, by its own spec.

    Raises IclError when what its names meant has changed since (template, data, model), so that it would be another comparison.
    """
    clock, path = Clock(), directory / "spec.json"
    try:
        spec = ComparisonSpec.from_json(read_json(path, "spec")["spec"])
    except (KeyError, TypeError) as error:
        raise damaged(path, f"it has no {error}") from error
    with clock.phase("prepare"):
        prepared = prepare(spec, data_dir)
    draft = Draft(directory)
    fresh, probes = draft.is_fresh(), bool(read_json(directory / "environment.json").get("probes", True))
    return ComparisonRun(make_alone(draft, lambda draft: _make(prepared, draft, clock, events or Quiet(), fresh, probes)))


def _make(prepared: Prepared, draft: Draft, clock: Clock, events: Events, fresh: bool, probes: bool) -> None:
    """Everything that needs the model. Nothing is written before a first learner has learnt, or has been learning for some seconds."""
    spec, spec_hash = prepared.spec, prepared.resolved.hash()
    if draft.partial.is_dir():
        check_same_spec(draft.dir, spec_sha256(read_json(draft.dir / "spec.json", "spec")), spec_hash)
        write_episodes(draft.dir / "episodes.jsonl", prepared.episodes)  # a part of the run, whatever has become of the file since
    events.phase("load")
    with clock.phase("load"):
        tools, meter, environment = _load(prepared, fresh, draft.batch_tokens())
    accounts = Accounts(clock, meter, spec.device)

    def begin() -> None:
        draft.begin(prepared.resolved, {**environment, "fresh": fresh, "probes": probes}, prepared.episodes)

    def after() -> None:
        """What ran out of memory goes on with equal passes when it is resumed."""
        left = base_engine(tools).batch_tokens
        if left < (draft.batch_tokens() or spec.batch_tokens or 0):
            draft.keep_batch_tokens(left)

    journal = Journal(draft, spec_hash, begin, accounts.since_last, after)
    contest = Contest(prepared, tools, meter, clock, events, journal)
    prefix = contest.check_prompts()
    contest.compute_features()
    results = contest.results()
    elsewhere = contest.elsewhere
    traces = Probes(tools, meter, clock, events, journal, spec.seed).traces(results) if probes else None
    journal.flush()
    events.phase("report")
    summary = summary_json(results, elsewhere, spec_hash, prepared.resolved.episodes_sha256, contest.budget(results), tuple(spec.settings))
    _finish(draft, prepared, results, elsewhere, summary, cost_json(results, elsewhere, total(journal.costs()), prefix), traces)


def _load(prepared: Prepared, fresh: bool, batch_tokens: int | None) -> tuple[Tools, Meter, dict[str, Any]]:
    from icl.engine.hf import HFEngine

    spec = prepared.spec
    keep_freed_memory()
    loaded = load_model(prepared.source, spec.dtype, spec.device)
    assert spec.batch_tokens is not None
    engine = HFEngine(loaded.model, loaded.tokenizer, min(spec.batch_tokens, batch_tokens or spec.batch_tokens))
    encoder = Encoder(loaded.tokenizer)
    environment = _environment(prepared, engine)
    ledger, scores, identity = Ledger(), ScoreStore(store_path()), identity_of(prepared.source, engine, spec.dtype, environment)
    store = FeatureStore(
        HiddenStates(engine, encoder, prepared.builders, loaded.context_window),
        KeptFeatures(scores, identity, ledger, fresh),
    )
    if other := prepared.embedder:
        sentences = identity_of_sentences(other, spec.dtype, environment)
        store = FeatureStore(
            Sentences(SentenceModel(other, spec.device, spec.dtype), ledger), KeptFeatures(scores, sentences, ledger, fresh)
        )
    kept = KeptScores(engine, scores, identity, ledger, fresh)
    tools = Tools(
        store, engine, encoder, prepared.builders, loaded.context_window, spec.calibration, spec.meta_steps, ledger=ledger, kept=kept
    )
    return tools, Meter(loaded.model, engine, store, ledger), environment


@dataclass
class Contest:
    """The learners at work on one model in memory."""

    prepared: Prepared
    tools: Tools
    meter: Meter
    clock: Clock
    events: Events
    journal: Journal

    def __post_init__(self) -> None:
        prepared, spec = self.prepared, self.prepared.spec
        self.pools = prepared.pools()
        self.episodes = {k: prepared.learning_episodes(k) for k in spec.k_shot}
        self.meta = {k: self.pools.episodes(k) for k in spec.k_shot}
        self.others = {k: {test.task.name: test.learning_episodes(k) for test in prepared.elsewhere} for k in spec.k_shot}
        self.elsewhere: list[Result] = []

    def check_prompts(self) -> dict[int, PrefixCosts]:
        """Raises IclError for a model that a learner cannot adapt, and when the largest K cannot stand in a prompt.

        K → cost of in-context learning with and without a kept prefix.
        """
        families = self.prepared.families.values()
        for family in families:
            family.build(self.tools, family.grid[0])
        if not any(family.shows_support for family in families):
            return {}
        for episode in (e for of in self.others[max(self.others)].values() for e in of):
            self._two_queries(episode)
        two = {k: [self._two_queries(e) for e in self.episodes[k]] for k in reversed(self.prepared.spec.k_shot)}
        return {k: self.meter.prefix_costs(requests, self.tools.window) for k, requests in two.items()}

    def _two_queries(self, episode: LearningEpisode) -> tuple[list[ScoreRequest], list[ScoreRequest]]:
        learner = LEARNERS["in-context"].build(self.tools, LEARNERS["in-context"].grid[0])
        assert isinstance(learner, InContext)
        predictor = learner.adapt(episode.support, keyed_rng(self.prepared.spec.seed, "prefix", episode.id))
        return predictor.asking.requests(episode.queries[0]), predictor.asking.requests(episode.queries[-1])

    def compute_features(self) -> None:
        """All texts that a feature learner will read, in one call and one for other tasks: sorted by length they pad least."""
        if not any(family.uses_features for family in self.prepared.families.values()):
            return
        store = self.meter.store
        largest = max(self.episodes)
        own = [store.text(task, example.query()) for task, example in self.pools.examples()]
        own += self.meter.meta_texts(self.episodes[largest])
        others = self.meter.meta_texts([episode for of in self.others[largest].values() for episode in of])
        self.events.phase("features")
        with self.clock.phase("features"):
            store.compute(own, self.events.tokens)
            store.compute(others, self.events.tokens)  # apart, so that the features above have the same last digits without them

    def results(self) -> list[Result]:
        """Of every learner at every K."""
        spec = self.prepared.spec
        cells = [(k, name) for k in spec.k_shot for name in self.prepared.families]
        tasks = {k: {self.prepared.task.name: self.episodes[k], **self.others[k]} for k in spec.k_shot}
        keys = [_key(name, k, task, e) for k, name in cells for task, episodes in tasks[k].items() for e in episodes]
        self.events.start(len(keys), sum(key in self.journal for key in keys))
        return [self.result(name, k) for k, name in cells]

    def result(self, name: str, k: int) -> Result:
        """One learner at one K: chosen on meta-validation episodes, then played on the test episodes."""
        family, spec = self.prepared.families[name], self.prepared.spec
        meta = self.meta[k] if family.reads_other_tasks else MetaEpisodes((), ())
        version = self.prepared.version
        with self.clock.phase("meta-train and search"):
            if version and version.learner == name:
                chosen, meta = meta_trained.chosen(version, self.tools), MetaEpisodes((), ())
            else:
                chosen = search.choose(family, self.tools, k, meta, spec.seed, self.meter.so_far, self.journal)
        rows = self.meter.features(self.meter.meta_texts(meta.train)) if family.uses_features else (0.0, 0)
        spent = (chosen.meta_train_seconds + rows[0], chosen.learner.meta_flops + rows[1])

        def on(task: str, episodes: Sequence[LearningEpisode]) -> Result:
            with self.clock.phase("adapt and predict"):
                played = self._series(chosen.learner, name, task, k, episodes)
            seconds, flops = splits(played, spent, self.meter if family.uses_features else None)
            return Result(task, name, k, chosen.learner.transductive, chosen, played, seconds, flops)

        main = on(self.prepared.task.name, self.episodes[k])
        self.elsewhere += [on(task, episodes) for task, episodes in self.others[k].items()]
        return replace(main, probe=self._probe(chosen.learner, name, k))  # last: what it asks is found in the store afterwards

    def _series(self, learner: Learner, name: str, task: str, k: int, episodes: Sequence[LearningEpisode]) -> tuple[Played, ...]:
        """The first episodes, as many as the budget pays for: all without one."""
        budget = (self.prepared.spec.budget or math.inf) * 1e12
        played: list[Played] = []
        spent = 0
        for episode in episodes:
            if len(played) >= LEAST_EPISODES and spent >= budget:
                self.events.section_done()
                continue
            played.append(self._played(learner, _key(name, k, task, episode), episode, self.events.section_done))
            spent += played[-1].adapt_flops + played[-1].predict_flops
            if self.prepared.families[name].uses_features:
                spent += self.meter.features([*self.meter.support_texts(episode), *self.meter.query_texts(episode)])[1]
        return tuple(played)

    def _probe(self, learner: Learner, name: str, k: int) -> Probe | None:
        family = self.prepared.families[name]
        if not is_probed(name, family):
            return None
        with self.clock.phase("probing"), self.meter.apart():
            return probe(
                family, self.meta[k].train, self.episodes[k], self.prepared.spec.seed,
                lambda part, episode: self._played(learner, f"{name}/{k}/probe/{part}/{episode.id}", episode),
            )  # fmt: skip

    def _played(self, learner: Learner, key: str, episode: LearningEpisode, then: Callable[[], None] = lambda: None) -> Played:
        """`then`: called when it was played now."""

        def now() -> Played:
            played = play(learner, episode, self.prepared.spec.seed, self.meter.so_far, self.tools.ledger.clock)
            then()
            return played

        return played_once(self.journal, key, episode, now)

    def budget(self, results: Sequence[Result]) -> dict[str, Any]:
        """What meta-training and search were allowed, for the report."""
        return {
            "related_tasks": [task.name for task in self.prepared.related.tasks],
            "classes": {part: list(task.labels) for part, task in self.prepared.classes.items()},
            "left_out": list(self.prepared.related.notes),
            "learners_left_out": {left.learner: left.reason for left in self.prepared.left_out},
            "texts_shared_with_the_task": self.pools.shared,
            "meta_train_rows_per_label": {name: {y: len(r) for y, r in of.items()} for name, of in self.pools.train.items()},
            "meta_validation_rows_per_label": {name: {y: len(r) for y, r in of.items()} for name, of in self.pools.validation.items()},
            "meta_train_episodes": {str(k): len(meta.train) for k, meta in self.meta.items()},
            "meta_validation_episodes": {str(k): len(meta.validation) for k, meta in self.meta.items()},
            "queries_per_label": meta_tasks.QUERIES_PER_LABEL,
            "configurations": {r.learner: max(len(r.chosen.tried), 1) for r in results},
            "search_flops": search.BUDGET,
            "meta_steps": self.prepared.spec.meta_steps,
            "meta_trained": self.prepared.version.words() if self.prepared.version else "",
            "meta_steps_bought": bought(results),
        }


def _key(name: str, k: int, task: str, episode: LearningEpisode) -> str:
    """Of a test episode in the journal."""
    return f"{name}/{k}/test/{task}/{episode.id}"


def _environment(prepared: Prepared, engine: Any) -> dict[str, Any]:
    spec, task, source = prepared.spec, prepared.task, prepared.source
    found = describe(spec.device, spec.dtype)
    packages = ("scikit-learn", "peft", *(("sentence-transformers",) if prepared.embedder else ()))
    return {
        **found,
        "packages": {**found["packages"], **{name: version(name) for name in packages}},
        "engine": {"back_end": "hf", "path": engine.path, "notes": engine.notes},
        **({"embedder": {"name": other.name, "fingerprint": other.fingerprint}} if (other := prepared.embedder) else {}),
        "model": {"name": source.name, "fingerprint": source.fingerprint, "description": source.description, "notes": list(source.notes)},
        "templates": {name: {"name": b.template.name, "sha256": b.template.sha256} for name, b in prepared.builders.items()},
        "data": [_data(t) for t in (task, *prepared.related.tasks, *(test.whole for test in prepared.elsewhere))],
        "run": {
            "kind": "compare",
            "task": task.name,
            "labels": list(task.labels),
            "model": spec.model,
            "n_episodes": len(prepared.episodes),
            "n_queries": len(prepared.episodes[0].query),
            "split": prepared.episodes[0].query_split,
        },
    }


def _data(task: Task) -> dict[str, str]:
    return {"task": task.name, "fingerprint": task.fingerprint, "source": task.source, "licence": task.licence}


def _finish(
    draft: Draft,
    prepared: Prepared,
    results: Sequence[Result],
    elsewhere: Sequence[Result],
    summary: Json,
    cost: Json,
    traces: Json | None,
) -> None:
    """All files, made in a directory among the parts and moved out of it one by one; the summary comes last and makes the run finished."""
    from compare.report.page import write_report

    with writing(draft.dir):
        scratch = Path(tempfile.mkdtemp(prefix=".finish-", dir=draft.partial))
        for name in ("spec.json", "environment.json", "episodes.jsonl"):
            shutil.copy(draft.dir / name, scratch / name)
        write_predictions(scratch / "predictions.parquet", results)
        if elsewhere:
            write_predictions(scratch / "meta-test.parquet", elsewhere, named=True)
            write_episodes(scratch / "meta-test.jsonl", [episode for test in prepared.elsewhere for episode in test.episodes])
        write_settings(scratch, prepared.spec.settings)
        write_json(scratch / "summary.json", summary)
        write_json(scratch / "cost.json", cost)
        if traces is not None:
            write_json(scratch / TRACES, traces)
        write_report(scratch, draft.dir.name)
        for path in sorted(scratch.iterdir()):
            if path.name != "summary.json":
                path.replace(draft.dir / path.name)
        draft.finish(summary)
