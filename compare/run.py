"""`compare`: a spec in, a run on disk out.

card → task → episodes.jsonl → features (once) → per K and learner: search on meta-validation → adapt, predict → paired statistics → run
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compare import meta_tasks, search
from compare.cost import Meter, PrefixCosts, splits
from compare.features import FeatureStore
from compare.kept import KeptScores
from compare.learners import LEARNERS, Tools
from compare.learners.in_context import InContext
from compare.learners.types import Ledger
from compare.meta_tasks import MetaEpisodes
from compare.play import play
from compare.prepare import Prepared, prepare
from compare.results import Json, Result, cost_json, public_rows, summary_json, write_predictions
from compare.types import ComparisonSpec, LearningEpisode
from icl.cost import Clock, peak_memory_bytes
from icl.device import keep_freed_memory
from icl.encode import Encoder
from icl.engine.store import Identity, ScoreStore, store_path
from icl.engine.types import ScoreRequest
from icl.environment import describe, version
from icl.events import Events, Quiet
from icl.models import load_model
from icl.runs import Draft, is_finished, write_json
from icl.runs.files import read_json, writing
from icl.runs.store import free_directory
from tasks import Task, keyed_rng
from tasks.episodes import write_episodes


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
    events: Events | None = None,
) -> ComparisonRun:
    """Compares learners on the same episodes, and returns the finished run.

    `out` is the directory of runs; `data_dir` a local mirror of hub data. A finished run of the same spec is returned as it is, unless
    `fresh`. Raises IclError for every mistake of the user's; nothing is written before all learners are done.
    """
    events = events or Quiet()
    clock = Clock()
    events.phase("data")
    with clock.phase("prepare"):
        prepared = prepare(spec, Path(data_dir) if data_dir else None)
    for note in prepared.related.notes:
        events.note(note)
    directory = Path(out) / f"compare-{prepared.task.name}-{prepared.resolved.hash()[:10]}"
    if is_finished(directory) and not fresh:
        events.note(f"run {directory.name} is finished already; --fresh makes another")
        return ComparisonRun(directory)
    with Draft(directory).locked():
        if is_finished(directory) and not fresh:  # by another process, between our look and our lock
            return ComparisonRun(directory)
        try:
            return _make(prepared, free_directory(directory), clock, events, fresh)
        except KeyboardInterrupt as error:
            raise KeyboardInterrupt("a comparison keeps nothing until it is whole; the same command starts anew") from error


def _make(prepared: Prepared, directory: Path, clock: Clock, events: Events, fresh: bool) -> ComparisonRun:
    """Everything that needs the model; the directory appears whole, at the end."""
    spec = prepared.spec
    events.phase("load")
    with clock.phase("load"):
        tools, meter, environment = _load(prepared, fresh)
    contest = Contest(prepared, tools, meter, clock, events)
    prefix = contest.check_prompts()
    contest.compute_features()
    cells = [(k, name) for k in spec.k_shot for name in LEARNERS if name in spec.learners]
    events.start(len(cells) * len(prepared.episodes), 0)
    results = [contest.result(name, k) for k, name in cells]
    events.phase("report")
    summary = summary_json(
        results, prepared.task.name, prepared.resolved.hash(), prepared.resolved.episodes_sha256, contest.budget(results)
    )
    reused = {"seconds": round(tools.ledger.spared, 4), "flops": meter.reused()}
    cost = cost_json(results, clock.seconds, meter.so_far() - meter.reused(), reused, peak_memory_bytes(spec.device), prefix)
    return _write(prepared, directory, results, environment, summary, cost)


def _load(prepared: Prepared, fresh: bool) -> tuple[Tools, Meter, dict[str, Any]]:
    from icl.engine.hf import HFEngine

    spec = prepared.spec
    keep_freed_memory()
    loaded = load_model(prepared.source, spec.dtype, spec.device)
    assert spec.batch_tokens is not None
    engine = HFEngine(loaded.model, loaded.tokenizer, spec.batch_tokens)
    encoder = Encoder(loaded.tokenizer)
    store = FeatureStore(engine, encoder, prepared.builders, loaded.context_window)
    environment = _environment(prepared, engine)
    ledger = Ledger()
    kept = KeptScores(engine, ScoreStore(store_path()), _identity(prepared, engine, environment), ledger, fresh)
    tools = Tools(
        store, engine, encoder, prepared.builders, loaded.context_window, spec.calibration, spec.meta_steps, ledger=ledger, kept=kept
    )
    return tools, Meter(loaded.model, engine, store, ledger), environment


def _identity(prepared: Prepared, engine: Any, environment: dict[str, Any]) -> Identity:
    """As `icl evaluate` keeps scores apart."""
    spec, packages = prepared.spec, environment["packages"]
    device = environment["device_name"] if spec.device.startswith("cuda") else "cpu"
    versions = f"engine {engine.VERSION}, torch {packages['torch']}, transformers {packages['transformers']}"
    return Identity(prepared.source.fingerprint, spec.dtype, device, f"hf {engine.path}", versions)


@dataclass
class Contest:
    """The learners at work on one model in memory."""

    prepared: Prepared
    tools: Tools
    meter: Meter
    clock: Clock
    events: Events

    def __post_init__(self) -> None:
        prepared, spec = self.prepared, self.prepared.spec
        self.pools = prepared.pools()
        self.episodes = {k: prepared.learning_episodes(k) for k in spec.k_shot}
        self.meta = {k: self.pools.episodes(k) for k in spec.k_shot}

    def check_prompts(self) -> dict[int, PrefixCosts]:
        """Raises IclError for a model that a learner cannot adapt, and when the largest K cannot stand in a prompt.

        K → cost of in-context learning with and without a kept prefix.
        """
        families = [LEARNERS[name] for name in self.prepared.spec.learners]
        for family in families:
            family.build(self.tools, family.grid[0])
        if not any(family.shows_support for family in families):
            return {}
        two = {k: [self._two_queries(e) for e in self.episodes[k]] for k in reversed(self.prepared.spec.k_shot)}
        return {k: self.meter.prefix_costs(requests, self.tools.window) for k, requests in two.items()}

    def _two_queries(self, episode: LearningEpisode) -> tuple[list[ScoreRequest], list[ScoreRequest]]:
        learner = LEARNERS["in-context"].build(self.tools, LEARNERS["in-context"].grid[0])
        assert isinstance(learner, InContext)
        predictor = learner.adapt(episode.support, keyed_rng(self.prepared.spec.seed, "prefix", episode.id))
        return predictor.asking.requests(episode.queries[0]), predictor.asking.requests(episode.queries[-1])

    def compute_features(self) -> None:
        """All texts that a feature learner will read, in one call: sorted by length they pad least."""
        if not any(LEARNERS[name].uses_features for name in self.prepared.spec.learners):
            return
        store = self.meter.store
        texts = [store.text(task, example.query()) for task, example in self.pools.examples()]
        for episode in self.episodes[max(self.episodes)]:
            texts += [*self.meter.support_texts(episode), *self.meter.query_texts(episode)]
        self.events.phase("features")
        with self.clock.phase("features"):
            store.compute(texts, self.events.tokens)

    def result(self, name: str, k: int) -> Result:
        """One learner at one K: chosen on meta-validation episodes, then played on the test episodes."""
        family, spec = LEARNERS[name], self.prepared.spec
        meta = self.meta[k] if family.reads_other_tasks else MetaEpisodes((), ())
        with self.clock.phase("meta-train and search"):
            chosen = search.choose(family, self.tools, k, meta, spec.seed, self.meter.so_far)
        played = []
        for episode in self.episodes[k]:
            with self.clock.phase("adapt and predict"):
                played.append(play(chosen.learner, episode, spec.seed, self.meter.so_far, self.tools.ledger.clock))
            self.events.section_done()
        rows = self.meter.features(self.meter.meta_texts(meta.train)) if family.uses_features else (0.0, 0)
        spent = (chosen.meta_train_seconds + rows[0], chosen.learner.meta_flops + rows[1])
        seconds, flops = splits(played, spent, self.meter if family.uses_features else None)
        return Result(name, k, chosen.learner.transductive, chosen, tuple(played), seconds, flops)

    def budget(self, results: Sequence[Result]) -> dict[str, Any]:
        """What meta-training and search were allowed, for the report."""
        return {
            "related_tasks": [task.name for task in self.prepared.related.tasks],
            "classes": {part: list(task.labels) for part, task in self.prepared.classes.items()},
            "left_out": list(self.prepared.related.notes),
            "texts_shared_with_the_task": self.pools.shared,
            "meta_train_rows_per_label": {name: {y: len(r) for y, r in of.items()} for name, of in self.pools.train.items()},
            "meta_validation_rows_per_label": {name: {y: len(r) for y, r in of.items()} for name, of in self.pools.validation.items()},
            "meta_train_episodes": {str(k): len(meta.train) for k, meta in self.meta.items()},
            "meta_validation_episodes": {str(k): len(meta.validation) for k, meta in self.meta.items()},
            "queries_per_label": meta_tasks.QUERIES_PER_LABEL,
            "configurations": {r.learner: max(len(r.chosen.tried), 1) for r in results},
            "search_flops": search.BUDGET,
            "meta_steps": self.prepared.spec.meta_steps,
        }


def _environment(prepared: Prepared, engine: Any) -> dict[str, Any]:
    spec, task, source = prepared.spec, prepared.task, prepared.source
    found = describe(spec.device, spec.dtype)
    return {
        **found,
        "packages": {**found["packages"], "scikit-learn": version("scikit-learn"), "peft": version("peft")},
        "engine": {"back_end": "hf", "path": engine.path, "notes": engine.notes},
        "model": {"name": source.name, "fingerprint": source.fingerprint, "description": source.description, "notes": list(source.notes)},
        "templates": {name: {"name": b.template.name, "sha256": b.template.sha256} for name, b in prepared.builders.items()},
        "data": [_data(t) for t in (task, *prepared.related.tasks)],
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


def _write(prepared: Prepared, directory: Path, results: Sequence[Result], environment: Json, summary: Json, cost: Json) -> ComparisonRun:
    """All files in a directory beside the target, which is then moved into place whole."""
    from compare.report.page import write_report

    with writing(directory):
        scratch = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
        try:
            write_json(scratch / "spec.json", prepared.resolved.to_json())
            write_json(scratch / "environment.json", environment)
            write_episodes(scratch / "episodes.jsonl", prepared.episodes)
            write_predictions(scratch / "predictions.parquet", results)
            write_json(scratch / "summary.json", summary)
            write_json(scratch / "cost.json", cost)
            write_report(scratch, directory.name)
            scratch.chmod(0o755)
            scratch.rename(directory)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return ComparisonRun(directory)
