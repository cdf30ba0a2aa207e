"""The main job: a spec in, a run on disk out.

card → task → episodes → demonstrations → prompts → token ids → scores (kept raw) → calibrations → metrics ± interval → run
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from icl.calibration import CALIBRATORS, get_calibrator
from icl.cost import Clock, add_costs, forward_flops, peak_memory_bytes
from icl.device import default_batch_tokens, keep_freed_memory, resolve_device, resolve_dtype
from icl.embedder import Embedder
from icl.engine.store import Identity, ScoreStore, StoredEngine, store_path
from icl.engine.types import Engine, Work
from icl.environment import describe
from icl.events import Events, Quiet
from icl.models import ModelSource, load_model, load_tokenizer, resolve_model
from icl.plan import Part, Planner
from icl.results import metrics_json, metrics_of
from icl.runs import Draft, Run, is_finished, write_json
from icl.runs.store import free_directory, read_spec
from icl.runs.tables import join_tables, read_table
from icl.scoring import score_episode
from icl.selection import check_selector, make_selector
from icl.spec import ResolvedSpec, RunSpec
from prompts import PromptBuilder, Template, check_fit, load_template
from prompts.chat import chat_renderer
from tasks import Episode, Example, IclError, Task
from tasks.episodefile import episodes_sha256, read_episodes
from tasks.episodes import resolve, sample_episodes
from tasks.load import load_task
from tasks.types import LETTERS

FREE_PARTS: tuple[Part, ...] = ("content_free", "domain")
DEFAULT_CALIBRATIONS = ("none", "contextual", "domain-context", "batch")


@dataclass(frozen=True)
class Prepared:
    """A spec whose names have been looked up and checked; the model is on disk, but not in memory."""

    resolved: ResolvedSpec
    task: Task
    template: Template
    source: ModelSource
    episodes: tuple[Episode, ...]
    pairs: tuple[tuple[Sequence[Example], list[Example]], ...]
    """Support pool and queries of each episode."""
    labels: tuple[str, ...]
    """Labels of the candidates when they are the same for every query, else empty."""
    drawn: bool = True
    """Whether the episodes were drawn as the spec says, and not handed over in a file."""


def evaluate(
    spec: RunSpec,
    *,
    out: str | Path = "runs",
    data_dir: str | Path | None = None,
    episodes: str | Path | None = None,
    fresh: bool = False,
    events: Events | None = None,
) -> Run:
    """Evaluates a model on a task from examples in its prompt, and returns the finished run.

    `out` is the directory of runs; `data_dir` a local mirror of hub data; `episodes` an episodes file to use instead of drawing.
    A finished run of the same spec is returned as it is, unless `fresh`. Raises IclError for every mistake of the user's before
    anything is written.
    """
    events = events or Quiet()
    clock = Clock()
    with clock.phase("prepare"):
        prepared = prepare(spec, Path(data_dir) if data_dir else None, Path(episodes) if episodes else None, events)
    directory = Path(out) / f"{prepared.task.name}-{prepared.resolved.hash()[:10]}"
    if is_finished(directory) and not fresh:
        events.note(f"run {directory.name} is finished already; --fresh makes another")
        Draft(directory).tidy()
        return Run(directory)
    if fresh and is_finished(directory):
        directory = free_directory(directory)
    draft = Draft(directory)
    with draft.locked():
        return _make(prepared, draft, clock, events)


def resume(directory: Path, *, data_dir: Path | None = None, events: Events | None = None) -> Run:
    """Goes on with a run that was begun in that directory, by its own spec and episodes.

    Raises IclError when what its names meant has changed since (template, data, model), so that it would be another run.
    """
    begun = read_spec(directory)
    prepared = prepare(begun.spec, data_dir, directory / "episodes.jsonl", events or Quiet())
    if prepared.resolved.hash() != begun.hash():
        changed = "the program" if prepared.resolved.protocol != begun.protocol else "its template, data or model"
        raise IclError(f"{directory} cannot go on: {changed} has changed since; evaluate anew")
    draft = Draft(directory)
    with draft.locked():
        return _make(prepared, draft, Clock(), events or Quiet())


def _make(prepared: Prepared, draft: Draft, clock: Clock, events: Events) -> Run:
    """Scores what is not scored yet and finishes the run."""
    if is_finished(draft.dir):  # by another process, between our look and our lock
        return Run(draft.dir)
    try:
        _score_episodes(prepared, draft, clock, events)
        return _finish(prepared, draft, events)
    except KeyboardInterrupt as error:
        if not draft.partial.is_dir():
            raise
        raise KeyboardInterrupt(f"finished episodes are kept in {draft.dir}; 'icl runs resume {draft.dir}' continues") from error


def prepare(spec: RunSpec, data_dir: Path | None, episodes_file: Path | None, events: Events) -> Prepared:
    """Looks up every name, draws the episodes, fills in every default. Writes nothing but the caches of data and models."""
    check_selector(spec.selector, spec.shots)
    for name in spec.calibration:
        get_calibrator(name)
    events.phase("data")
    if spec.template:
        load_template(spec.template)  # a wrong name is said before data is fetched
    task = load_task(spec.task, data_dir)
    template = load_template(spec.template or task.default_template)
    check_fit(template, task)
    if episodes_file:
        episodes = read_episodes(episodes_file)
        spec = as_the_file_says(spec, episodes)
    else:
        split = spec.split or task.evaluated_split()
        queries: int | str = "all" if spec.queries is None else spec.queries
        episodes = sample_episodes(task, n=spec.episodes, queries=queries, split=split, pool=spec.pool, seed=spec.seed)
        spec = replace(spec, split=split)
    pairs = tuple(resolve(episode, task) for episode in episodes)
    labels = fixed_candidates(task, template, pairs)
    calibration = applicable_calibrations(spec, task, template, fixed=bool(labels))
    events.phase("model")
    device = resolve_device(spec.device)
    dtype = resolve_dtype(spec.dtype, device)
    source = resolve_model(spec.model, trust_remote_code=spec.trust_remote_code, allow_pickle=spec.allow_pickle)
    spec = replace(
        spec,
        template=spec.template or task.default_template,
        calibration=calibration,
        device=device,
        dtype=dtype,
        batch_tokens=spec.batch_tokens or default_batch_tokens(device),
    )
    resolved = ResolvedSpec(spec, task.fingerprint, source.fingerprint, template.sha256, episodes_sha256(episodes))
    return Prepared(resolved, task, template, source, tuple(episodes), pairs, labels, drawn=episodes_file is None)


def as_the_file_says(spec: RunSpec, episodes: Sequence[Episode]) -> RunSpec:
    """The spec with the numbers of an episodes file. Raises IclError when it asks for others: they would be overridden without a word."""
    first, asked = episodes[0], RunSpec(spec.task)
    pool = None if first.support is None else len(first.support)
    said = replace(spec, episodes=len(episodes), queries=len(first.query), split=first.query_split)
    for name, value in (("episodes", said.episodes), ("queries", said.queries), ("split", said.split), ("pool", pool)):
        wanted = getattr(spec, name)
        if wanted not in (getattr(asked, name), value):
            known, other = ("all" if number is None else number for number in (value, wanted))
            raise IclError(f"the episodes file says {name} = {known}, but {name} = {other} was asked for; leave {name} out")
    return said


def fixed_candidates(task: Task, template: Template, pairs: Sequence[tuple[Sequence[Example], list[Example]]]) -> tuple[str, ...]:
    """The label set, or the letters where a template answers with letters and every query has as many choices; else empty."""
    if task.kind != "multiple_choice" or template.answer != "letter":
        return task.labels
    counts = {len(query.choices) for _, queries in pairs for query in queries}
    return tuple(LETTERS[: counts.pop()]) if len(counts) == 1 else ()


def applicable_calibrations(spec: RunSpec, task: Task, template: Template, *, fixed: bool) -> tuple[str, ...]:
    """The calibrations asked for, or all that apply. Raises IclError for one that needs the same candidates for every query.

    The content-free ones need them too: what they ask the model is asked once per context, not once per list of choices.
    """
    if not spec.calibration:
        return DEFAULT_CALIBRATIONS if fixed else ("none",)
    for name in spec.calibration:
        if name != "none" and not fixed:
            raise IclError(
                f"calibration '{name}' needs the same candidates for every query, but task '{task.name}' with template "
                f"'{template.name}' has others for each; use --calibration none"
            )
    return tuple(name for name in CALIBRATORS if name in spec.calibration)


def _score_episodes(prepared: Prepared, draft: Draft, clock: Clock, events: Events) -> None:
    """Every episode that is not finished yet, committed one by one."""
    waiting = [i for i, episode in enumerate(prepared.episodes) if not draft.has(episode.id)]
    if not waiting:
        return
    spec = prepared.resolved.spec
    events.phase("load")
    with clock.phase("load"):
        inner, loaded = _engine(prepared)
    for note in inner.notes:
        events.note(note)
    environment = _environment(prepared, inner)
    engine = StoredEngine(inner, ScoreStore(store_path()), _identity(prepared, inner, environment), clock)
    planner = _planner(prepared, engine, loaded.context_window, loaded.tokenizer)
    # The first episode is planned before anything is written: a prompt that does not fit leaves no directory behind.
    choosers: dict[tuple[str, ...] | None, Any] = {}
    begun = draft.partial.is_dir()
    events.start(len(prepared.episodes), len(prepared.episodes) - len(waiting))
    for i in waiting:
        episode, (support, queries) = prepared.episodes[i], prepared.pairs[i]
        before, start = dict(clock.seconds), replace(engine.work)
        with clock.phase("plan"):
            if episode.support not in choosers:
                choosers[episode.support] = planner.chooser(support)
            items = list(planner.items(episode, choosers[episode.support], support, queries))
        if not begun:
            draft.begin(prepared.resolved, environment, prepared.episodes)
            begun = True
        tables = score_episode(episode.id, items, prepared.task, engine, events.tokens)
        draft.commit(episode.id, tables, _cost(engine, loaded.model, start, {} if i == waiting[0] else before, clock, spec.device))
        events.episode_done()


def _engine(prepared: Prepared) -> tuple[Any, Any]:
    from icl.engine.hf import HFEngine

    spec = prepared.resolved.spec
    keep_freed_memory()
    loaded = load_model(prepared.source, spec.dtype, spec.device)
    assert spec.batch_tokens is not None
    return HFEngine(loaded.model, loaded.tokenizer, spec.batch_tokens), loaded


def _identity(prepared: Prepared, engine: Any, environment: dict[str, Any]) -> Identity:
    """What the score store keeps scores apart by, besides the tokens."""
    spec = prepared.resolved.spec
    device = environment["device_name"] if spec.device.startswith("cuda") else "cpu"
    packages = environment["packages"]
    versions = f"engine {engine.VERSION}, torch {packages['torch']}, transformers {packages['transformers']}"
    path = f"hf {engine.path} {'blocks' if engine.blocks else 'masks'}"
    return Identity(prepared.source.fingerprint, spec.dtype, device, path, versions)


def _planner(prepared: Prepared, engine: Engine, window: int, tokenizer: Any) -> Planner:
    spec = prepared.resolved.spec

    chat = chat_renderer(tokenizer) if spec.chat else None
    builder = PromptBuilder(prepared.template, prepared.task, chat)
    needs = {get_calibrator(name).needs for name in spec.calibration}
    parts: list[Part] = [part for part in FREE_PARTS if part in needs]
    return Planner(
        spec=spec,
        task=prepared.task,
        builder=builder,
        tokenizer=tokenizer,
        window=window,
        selector=make_selector(spec.selector, Embedder(engine, tokenizer)),
        parts=frozenset(parts),
        generate=prepared.task.kind == "generation",
    )


def _environment(prepared: Prepared, engine: Any) -> dict[str, Any]:
    spec, task, source = prepared.resolved.spec, prepared.task, prepared.source
    return {
        **describe(spec.device, spec.dtype),
        "engine": {"back_end": "hf", "path": engine.path, "notes": engine.notes},
        "model": {"name": source.name, "fingerprint": source.fingerprint, "description": source.description, "notes": list(source.notes)},
        "template": {"name": prepared.template.name, "sha256": prepared.template.sha256},
        "data": {"fingerprint": task.fingerprint, "source": task.source, "licence": task.licence, "dropped": dict(task.dropped)},
        "run": {
            "task": task.name,
            "kind": task.kind,
            "labels": list(prepared.labels),
            "metrics": list(task.metrics),
            "model": spec.model,
            "n_episodes": len(prepared.episodes),
            "n_queries": len(prepared.episodes[0].query),
            "split": prepared.episodes[0].query_split,
            "episodes": "drawn" if prepared.drawn else "of a file",
        },
    }


def _cost(engine: Any, model: Any, start: Work, before: dict[str, float], clock: Clock, device: str) -> dict[str, Any]:
    """What this episode added; the first one of a process carries its preparation and loading."""
    work = Work(
        engine.work.tokens_unique - start.tokens_unique,
        engine.work.tokens_total - start.tokens_total,
        engine.work.scored_rows - start.scored_rows,
        engine.work.attended - start.attended,
        engine.work.spans_reused - start.spans_reused,
    )
    return {
        "tokens_unique": work.tokens_unique,
        "tokens_total": work.tokens_total,
        "flops": forward_flops(model, work),
        "spans_reused": work.spans_reused,
        "seconds": {name: value - before.get(name, 0.0) for name, value in clock.seconds.items()},
        "peak_memory_bytes": peak_memory_bytes(device),
    }


def _finish(prepared: Prepared, draft: Draft, events: Events) -> Run:
    """Joins the episodes, derives the metrics, writes the report and, last, the summary."""
    from icl.report.page import write_report

    events.phase("report")
    spec = prepared.resolved.spec
    ids = [episode.id for episode in prepared.episodes]
    spent = Clock()
    with spent.phase("metrics"):
        join_tables([draft.partial / id for id in ids], draft.dir)
        predictions, free = read_table(draft.dir, "predictions"), read_table(draft.dir, "content_free")
        metrics = metrics_json(metrics_of(predictions, free, prepared.labels, spec.calibration))
    cost = add_costs([*draft.costs(ids), {"seconds": spent.seconds}])
    write_json(draft.dir / "cost.json", cost)
    summary = {"spec_sha256": prepared.resolved.hash(), "metrics": metrics}
    write_report(draft.dir, summary)
    return draft.finish(summary)


def tokenizer_of(run: Run) -> Any:
    """The tokenizer that a run's prompts went through, for showing and exporting tokens."""
    spec = run.resolved.spec
    source = resolve_model(spec.model, trust_remote_code=spec.trust_remote_code, allow_pickle=spec.allow_pickle)
    if source.fingerprint != run.resolved.model_fingerprint:
        raise IclError(f"the model '{spec.model}' has changed since run {run.name}: tokens cannot be shown")
    return load_tokenizer(source)
