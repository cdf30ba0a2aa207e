"""The main job: a spec in, a run on disk out.

card → task → episodes → demonstrations → prompts → token ids → scores (kept raw) → calibrations → metrics ± interval → run
"""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

from icl.cost import Clock, add_costs
from icl.device import give_back_freed_memory
from icl.events import Events, Quiet
from icl.models import load_tokenizer, resolve_model
from icl.prepare import Prepared, prepare
from icl.processes import Crew, crew_for
from icl.results import metrics_json, metrics_of
from icl.runs import Draft, Run, is_finished, write_json
from icl.runs.store import free_directory, read_spec
from icl.runs.tables import join_tables, read_table
from icl.sections import sections_of
from icl.session import Session
from icl.shared import Shared
from icl.spec import RunSpec
from tasks import IclError


def evaluate(
    spec: RunSpec,
    *,
    out: str | Path = "runs",
    data_dir: str | Path | None = None,
    episodes: str | Path | None = None,
    fresh: bool = False,
    events: Events | None = None,
    shared: Shared | None = None,
) -> Run:
    """Evaluates a model on a task from examples in its prompt, and returns the finished run.

    `out` is the directory of runs; `data_dir` a local mirror of hub data; `episodes` an episodes file to use instead of drawing.
    `shared` keeps tasks and a model in memory from one evaluation to the next; without it the model goes before the report is written.
    A finished run of the same spec is returned as it is, unless `fresh`. Raises IclError for every mistake of the user's before
    anything is written.
    """
    events = events or Quiet()
    clock = Clock()
    with clock.phase("prepare"):
        prepared = prepare(spec, Path(data_dir) if data_dir else None, Path(episodes) if episodes else None, events, shared)
    crew = crew_for(prepared.resolved.spec.device)
    first = Path(out) / run_name(prepared)
    finished = crew.agree(lambda: is_finished(first))
    if finished and not fresh:
        events.note(f"run {first.name} is finished already; --fresh makes another")
        if crew.leads:
            Draft(first).tidy()
        return Run(first)
    directory = crew.agree(lambda: free_directory(first)) if fresh else first
    return _make(prepared, Draft(directory), clock, events, crew, fresh=fresh, shared=shared)


def run_name(prepared: Prepared) -> str:
    """Of the run's directory: the task and the beginning of the spec's hash."""
    return f"{prepared.task.name}-{prepared.resolved.hash()[:10]}"


def resume(directory: Path, *, data_dir: Path | None = None, events: Events | None = None) -> Run:
    """Goes on with a run that was begun in that directory, by its own spec and episodes.

    Raises IclError when what its names meant has changed since (template, data, model), so that it would be another run.
    """
    begun = read_spec(directory)
    prepared = prepare(begun.spec, data_dir, directory / "episodes.jsonl", events or Quiet())
    if prepared.resolved.hash() != begun.hash():
        changed = "the program" if prepared.resolved.protocol != begun.protocol else "its template, data or model"
        raise IclError(f"{directory} cannot go on: {changed} has changed since; evaluate anew")
    crew = crew_for(prepared.resolved.spec.device)
    draft = Draft(directory)
    return _make(prepared, draft, Clock(), events or Quiet(), crew, fresh=draft.is_fresh())


def _make(prepared: Prepared, draft: Draft, clock: Clock, events: Events, crew: Crew, *, fresh: bool, shared: Shared | None = None) -> Run:
    """Scores what is not scored yet and finishes the run."""
    try:
        with draft.locked() if crew.leads else nullcontext():
            if crew.agree(lambda: is_finished(draft.dir)):  # by another process, between our look and our lock
                return Run(draft.dir)
            _score(prepared, draft, clock, events, crew, fresh=fresh, shared=shared)
            crew.wait()
            if crew.leads:
                _finish(prepared, draft, events)
            crew.wait()
            return Run(draft.dir)
    except KeyboardInterrupt as error:
        if not draft.partial.is_dir():
            raise
        raise KeyboardInterrupt(f"what is finished is kept in {draft.dir}; 'icl runs resume {draft.dir}' continues") from error


def _score(prepared: Prepared, draft: Draft, clock: Clock, events: Events, crew: Crew, *, fresh: bool, shared: Shared | None) -> None:
    """Every section of this process that is not finished yet, committed one by one."""
    every = sections_of(prepared)
    begun = crew.agree(draft.partial.is_dir)
    waiting = [section for section in crew.share(every) if not draft.has(section.name)]
    if not waiting:
        if not begun:
            crew.wait()  # for the one that begins the run
        return
    spec = prepared.resolved.spec
    assert spec.batch_tokens is not None
    events.phase("load")
    batch_tokens = min(spec.batch_tokens, draft.batch_tokens() or spec.batch_tokens)
    session = Session(
        prepared,
        clock,
        device=crew.device(spec.device),
        batch_tokens=batch_tokens,
        fresh=fresh,
        shared=shared,
        label_words=draft.label_words(),
    )
    said = 0
    events.start(len(every), len(every) - len(waiting))
    for section, items in session.planned(waiting):
        # The first section is planned before anything is written: a prompt that does not fit leaves no directory behind.
        if not begun:
            if crew.leads:
                draft.begin(prepared.resolved, {**session.environment, "fresh": fresh}, prepared.episodes)
            crew.wait()
            begun = True
        draft.commit(section.name, *session.score(section, items, events.tokens))
        give_back_freed_memory()  # a hundred megabytes between two sections; the report needs some of them
        if session.inner.batch_tokens < batch_tokens:
            batch_tokens = session.inner.batch_tokens
            draft.keep_batch_tokens(batch_tokens)
        for note in session.inner.notes[said:]:
            events.note(note)
        said = len(session.inner.notes)
        events.section_done()


def _finish(prepared: Prepared, draft: Draft, events: Events) -> None:
    """Joins the sections, derives the metrics, writes the report and, last, the summary."""
    from icl.report.page import write_report

    events.phase("report")
    spec = prepared.resolved.spec
    names = [section.name for section in sections_of(prepared)]
    spent = Clock()
    with spent.phase("metrics"):
        join_tables([draft.partial / name for name in names], draft.dir)
        predictions, free, near = (read_table(draft.dir, name) for name in ("predictions", "content_free", "neighbours"))
        metrics = metrics_json(metrics_of(predictions, free, prepared.labels, spec.calibration, spec.normalise, near))
    cost = add_costs([*draft.costs(names), {"seconds": spent.seconds}])
    write_json(draft.dir / "cost.json", cost)
    summary = {"spec_sha256": prepared.resolved.hash(), "metrics": metrics}
    write_report(draft.dir, summary)
    draft.finish(summary)


def tokenizer_of(run: Run) -> Any:
    """The tokenizer that a run's prompts went through, for showing and exporting tokens."""
    spec = run.resolved.spec
    source = resolve_model(spec.model, trust_remote_code=spec.trust_remote_code, allow_pickle=spec.allow_pickle)
    if source.fingerprint != run.resolved.model_fingerprint:
        raise IclError(f"the model '{spec.model}' has changed since run {run.name}: tokens cannot be shown")
    return load_tokenizer(source)
