"""A sweep: a file in, finished runs and one report out. Each run is an ordinary evaluation, found again when it is finished."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from icl.evaluation import evaluate
from icl.events import Events, Quiet
from icl.processes import launched_size
from icl.runs import Run, is_finished
from icl.sections import sections_of
from icl.shared import Shared
from icl.sweep.analysis import Analysis
from icl.sweep.file import Sweep
from icl.sweep.jobs import in_processes
from icl.sweep.plan import Plan, PlannedRun, make_plan
from icl.sweep.results import Results, gather
from icl.sweep.watch import OneBar
from tasks.errors import IclError

Finished = tuple[Results, list[Analysis]]
"""What came out, and the statistics of every group."""


@dataclass(frozen=True)
class Made:
    """What became of a planned run."""

    run: Run | None
    computed: bool
    """Whether it was made now, not found."""
    reason: str = ""
    """Why there is none."""


def sweep(
    asked: Sweep, *, out: str | Path = "runs", data_dir: str | Path | None = None, jobs: int = 1, events: Events | None = None
) -> Finished:
    """Makes every run that is not finished, and returns what came out; the report lies in the results' `dir`.

    `jobs` processes share the runs. A cell that cannot be made has a reason instead of a run. Raises IclError for a mistake in the file
    before anything is computed.
    """
    events, shared = events or Quiet(), Shared()
    return carry_out(plan_sweep(asked, out=out, data_dir=data_dir, shared=shared, events=events), Path(out), data_dir, jobs, events, shared)


def plan_sweep(
    asked: Sweep, *, out: str | Path, data_dir: str | Path | None = None, shared: Shared | None = None, events: Events | None = None
) -> Plan:
    """What a sweep will do; nothing is computed and no run is written."""
    if launched_size() > 1:
        raise IclError("a sweep must be started as one process; 'icl sweep --jobs N' makes runs side by side")
    place = Path(data_dir) if data_dir else None
    return make_plan(asked, out=Path(out), data_dir=place, shared=shared or Shared(), events=OneBar(events or Quiet()))


def carry_out(plan: Plan, out: Path, data_dir: str | Path | None, jobs: int, events: Events, shared: Shared) -> Finished:
    """Makes what is waiting, reads what is there, writes the report. Ctrl-C keeps every finished run."""
    from icl.sweep.report.page import write_report

    if jobs < 1:
        raise IclError(f"jobs >= 1 must hold, but got {jobs}")
    made: dict[int, Made] = {}
    for i, run in enumerate(plan.runs):
        if run.finished and run.directory:
            made[i] = Made(Run(run.directory), computed=False)
        elif run.prepared is None:
            made[i] = Made(None, computed=False, reason=run.reason)
    waiting = [i for i in range(len(plan.runs)) if i not in made]
    try:
        events.start(sum(_sections(plan.runs[i]) for i in waiting), 0)
        made.update(_make(plan, waiting, out, data_dir, jobs, OneBar(events), shared))
    except KeyboardInterrupt as error:
        kept = sum(run.directory is not None and is_finished(run.directory) for run in plan.runs)
        raise KeyboardInterrupt(f"{kept} of {len(plan.runs)} runs are finished and kept in {out}; the same command goes on") from error
    events.phase("report")
    results = gather(plan, [made[i] for i in range(len(plan.runs))], out)
    return results, write_report(results)


def _make(
    plan: Plan, waiting: list[int], out: Path, data_dir: str | Path | None, jobs: int, bar: OneBar, shared: Shared
) -> Iterator[tuple[int, Made]]:
    """Every waiting run, as it is done."""
    if jobs > 1 and len(waiting) > 1:
        specs = {i: plan.runs[i].spec for i in waiting}
        for i, directory, reason in in_processes(specs, out, data_dir, min(jobs, len(waiting))):
            bar.finish(_sections(plan.runs[i]))
            yield i, Made(Run(directory) if directory else None, computed=True, reason=reason)
        return
    for i in waiting:
        spec = plan.runs[i].spec
        try:
            result = Made(evaluate(spec, out=out, data_dir=data_dir, events=bar, shared=shared), computed=True)
        except IclError as error:
            result = Made(None, computed=True, reason=str(error))
        bar.finish(_sections(plan.runs[i]))
        yield i, result


def _sections(run: PlannedRun) -> int:
    return len(sections_of(run.prepared)) if run.prepared else 0
