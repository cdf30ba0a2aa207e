"""`icl sensitivity`: a spec in, a run on disk out.

card → task → one fixed set of queries → contexts x wordings → scores → components of variance; formats under a budget → spread → run
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from icl.cost import Clock
from icl.events import Events, Quiet
from icl.metrics import Outcome
from icl.results import outcome
from icl.runs import Draft, is_finished, write_json
from icl.runs.files import read_json, writing
from icl.runs.store import free_directory
from icl.runs.tables import Rows
from icl.sensitivity.play import Player
from icl.sensitivity.prepare import Prepared, prepare
from icl.sensitivity.results import Scored, cell_rows, finding, format_rows, summary_json, write_table
from icl.sensitivity.search import Spread, find_spread
from icl.sensitivity.spec import SensitivitySpec
from icl.session import Session
from tasks.episodefile import write_episodes

Json = dict[str, Any]


@dataclass(frozen=True)
class SensitivityRun:
    """A finished report, read from its directory."""

    dir: Path

    @property
    def name(self) -> str:
        """The directory's name."""
        return self.dir.name

    def read(self, name: str) -> Json:
        """`spec`, `environment`, `summary` or `cost`. Raises IclError when the file is missing or broken."""
        return read_json(self.dir / f"{name}.json")

    def to_json(self) -> Json:
        """What `icl sensitivity --json` prints."""
        facts = self.read("environment")["run"]
        head = {name: facts[name] for name in ("task", "model", "n_queries", "n_cells", "n_evaluations")}
        return {"run": self.name, "dir": str(self.dir), **head, **self.read("summary"), "cost": self.read("cost")}


def sensitivity(
    spec: SensitivitySpec,
    *,
    out: str | Path = "runs",
    data_dir: str | Path | None = None,
    fresh: bool = False,
    events: Events | None = None,
) -> SensitivityRun:
    """Measures how much of a result is luck, and returns the finished run.

    `out` is the directory of runs; `data_dir` a local mirror of hub data. A finished run of the same spec is returned as it is, unless
    `fresh`. Raises IclError for every mistake of the user's; the directory appears whole, at the end. Scores are kept as they come: after
    a kill the same call goes on from them.
    """
    events = events or Quiet()
    clock = Clock()
    with clock.phase("prepare"):
        prepared = prepare(spec, Path(data_dir) if data_dir else None, events)
    first = Path(out) / f"sensitivity-{prepared.task.name}-{prepared.resolved.hash()[:10]}"
    if is_finished(first) and not fresh:
        events.note(f"run {first.name} is finished already; --fresh makes another")
        return SensitivityRun(first)
    with Draft(first).locked():
        if is_finished(first) and not fresh:  # by another process, between our look and our lock
            return SensitivityRun(first)
        return _make(prepared, free_directory(first), clock, events, fresh=fresh)


def _make(prepared: Prepared, directory: Path, clock: Clock, events: Events, *, fresh: bool) -> SensitivityRun:
    run = prepared.base.resolved.spec
    assert run.batch_tokens is not None
    events.phase("load")
    session = Session(prepared.base, clock, device=run.device, batch_tokens=run.batch_tokens, fresh=fresh)
    player = Player(prepared, session)
    player.check()
    events.note(announced(prepared))
    try:
        scored, rows = _score(prepared, player, events)
        spread = _search(prepared, player, events)
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt("what is scored is kept; the same command goes on from there") from error
    events.phase("report")
    with clock.phase("metrics"):
        findings = {name: finding(of, name, prepared.queries, prepared.task.labels) for name, of in scored.items()}
        summary = summary_json(prepared.resolved.hash(), findings, spread, prepared.formats, prepared.plan, player.shown)
    tables = {"cells": cell_rows(prepared.plan, scored), "scores": rows}
    if spread:
        tables["formats"] = format_rows(spread, prepared.formats)
    files = {
        "spec": prepared.resolved.to_json(),
        "environment": _environment(prepared, session),
        "summary": summary,
        "cost": player.cost(),
    }
    return _write(prepared, directory, tables, files)


def announced(prepared: Prepared) -> str:
    """What is about to be computed, before it is."""
    shape, count = prepared.plan.shape, len(prepared.queries)
    names = ("draw", "order", "template", "format", "set of words")
    plurals = ("draws", "orders", "templates", "formats", "sets of words")
    product = " x ".join(f"{n} {one if n == 1 else many}" for n, one, many in zip(shape, names, plurals, strict=True))
    text = f"{product} = {len(prepared.plan):,} prompts, {count} queries each"
    if plan := prepared.schedule:
        text += f"; and {plan.evaluations:,} evaluations to find the best and the worst of {plan.formats} formats"
    return f"{text}: {prepared.evaluations:,} evaluations in all"


def _score(prepared: Prepared, player: Player, events: Events) -> tuple[dict[str, Scored], Rows]:
    """Calibration → outcomes of all cells, and the rows of raw scores."""
    outcomes: dict[str, list[Outcome]] = {name: [] for name in prepared.base.resolved.spec.calibration}
    rows: Rows = []
    events.start(len(prepared.plan) + bool(prepared.schedule), 0)
    for cell in prepared.plan.cells():
        scores, of_cell = player.play(cell, events.tokens)
        rows.extend(of_cell)
        for name, found in outcomes.items():
            found.append(outcome(scores, name))
        events.section_done()
    return {name: Scored(prepared.plan, tuple(found)) for name, found in outcomes.items()}, rows


def _search(prepared: Prepared, player: Player, events: Events) -> Spread | None:
    if prepared.schedule is None:
        return None
    context = prepared.plan.contexts[0]
    found = find_spread(
        prepared.schedule,
        prepared.queries,
        prepared.base.resolved.spec.seed,
        lambda form, queries: player.ask(form, context, queries, events.tokens),
    )
    events.section_done()
    return found


def _environment(prepared: Prepared, session: Session) -> Json:
    """As an evaluation's, with what is ours."""
    facts = {
        **session.environment["run"],
        "kind_of_run": "sensitivity",
        "n_cells": len(prepared.plan),
        "n_evaluations": prepared.evaluations,
        "n_search": prepared.schedule.evaluations if prepared.schedule else 0,
    }
    return {**session.environment, "run": {name: value for name, value in facts.items() if name != "n_episodes"}}


def _write(prepared: Prepared, directory: Path, tables: dict[str, Rows], files: dict[str, Json]) -> SensitivityRun:
    """All files in a directory beside the target, which is then moved into place whole."""
    from icl.sensitivity.page import write_report

    with writing(directory):
        scratch = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
        try:
            for name, rows in tables.items():
                write_table(scratch, name, rows)
            for name, values in files.items():
                write_json(scratch / f"{name}.json", values)
            write_episodes(scratch / "episodes.jsonl", prepared.base.episodes)
            write_report(scratch, directory.name)
            scratch.chmod(0o755)
            scratch.rename(directory)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return SensitivityRun(directory)
