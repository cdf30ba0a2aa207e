"""From cells to runs, before anything is computed: names checked, what is finished found, what cannot be made said.

Cells that differ in their calibration alone read the same scores, so they share one run with all these calibrations.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from icl.calibration import get_calibrator
from icl.device import default_batch_tokens, resolve_device, resolve_dtype
from icl.evaluation import run_name
from icl.events import Events
from icl.metrics import METRICS
from icl.models.load import DEVICE_MAPS
from icl.ordering import check_order
from icl.prepare import Prepared, prepare, source_of, task_of
from icl.runs import is_finished
from icl.selection import SELECTORS
from icl.selection.fixed import PREFIX
from icl.shared import Shared
from icl.spec import RunSpec
from icl.sweep.file import Sweep
from prompts import load_template
from tasks import Task
from tasks.errors import IclError, unknown_name

COMPARED = tuple(name for name in METRICS if name != "ece")
"""Metrics that cells can be compared by: means over episodes. Calibration error is pooled over all queries."""


@dataclass(frozen=True)
class PlannedRun:
    """A run that serves one cell or more."""

    spec: RunSpec
    """With the calibrations of all its cells."""
    prepared: Prepared | None
    """None where it cannot be made."""
    directory: Path | None
    finished: bool
    reason: str = ""
    """Why it cannot be made; empty where it can."""


@dataclass(frozen=True)
class Plan:
    """All runs of a sweep, and which of them each cell reads."""

    sweep: Sweep
    runs: tuple[PlannedRun, ...]
    """Runs of one model stand together, so that each model is loaded once."""
    of: dict[RunSpec, int]
    """Cell → position of its run."""
    filled: dict[RunSpec, RunSpec]
    """Cell → the same with the defaults of its task and this machine filled in."""

    @property
    def waiting(self) -> list[PlannedRun]:
        """Runs that are still to be made."""
        return [run for run in self.runs if run.prepared and not run.finished]


def make_plan(sweep: Sweep, *, out: Path, data_dir: Path | None, shared: Shared, events: Events) -> Plan:
    """Every cell with its run. Raises IclError for a name that means nothing; a combination that no run can be gets a reason instead."""
    check_names(sweep, data_dir, shared)
    kin: dict[RunSpec, list[RunSpec]] = {}
    for cell in sweep.cells:
        kin.setdefault(replace(cell, calibration=()), []).append(cell)
    runs: list[tuple[PlannedRun, list[RunSpec]]] = []
    for cells in sorted(kin.values(), key=_by_model(kin)):
        runs += _planned(cells, out, lambda spec: prepare(spec, data_dir, None, events, shared))
    of = {cell: i for i, (_, cells) in enumerate(runs) for cell in cells}
    filled = {cell: _filled(cell, task_of(cell, data_dir, shared)) for cell in sweep.cells}
    return Plan(sweep, tuple(run for run, _ in runs), of, filled)


def _filled(cell: RunSpec, task: Task) -> RunSpec:
    """As `prepare` fills it in, also where the run cannot be made."""
    device = resolve_device(cell.device)
    return replace(
        cell,
        template=cell.template or task.default_template,
        split=cell.split or task.evaluated_split(),
        device=device,
        dtype=resolve_dtype(cell.dtype, device),
        batch_tokens=cell.batch_tokens or default_batch_tokens(device),
    )


def _by_model(kin: dict[RunSpec, list[RunSpec]]) -> Callable[[list[RunSpec]], int]:
    """Sorts by what is loaded, in the order in which it first appears."""
    place: dict[Any, int] = {}
    for spec in kin:
        place.setdefault(_loaded(spec), len(place))
    return lambda cells: place[_loaded(cells[0])]


def _loaded(spec: RunSpec) -> tuple[Any, ...]:
    return (spec.model, spec.dtype, spec.device, spec.device_map, spec.batch_tokens)


def _planned(cells: list[RunSpec], out: Path, prepared_of: Callable[[RunSpec], Prepared]) -> list[tuple[PlannedRun, list[RunSpec]]]:
    """One run for all cells that can be made, and one for each that cannot."""
    try:
        return [(_found(_together(cells), out, prepared_of), cells)]
    except IclError as error:
        if len(cells) == 1:
            return [(PlannedRun(cells[0], None, None, False, str(error)), cells)]
    able, unable = [], []
    for cell in cells:
        try:
            prepared_of(cell)
            able.append(cell)
        except IclError as error:
            unable.append((PlannedRun(cell, None, None, False, str(error)), [cell]))
    return [*([(_found(_together(able), out, prepared_of), able)] if able else []), *unable]


def _together(cells: Sequence[RunSpec]) -> RunSpec:
    """The spec of the run that all these cells read."""
    return replace(cells[0], calibration=tuple(name for cell in cells for name in cell.calibration))


def _found(spec: RunSpec, out: Path, prepared_of: Callable[[RunSpec], Prepared]) -> PlannedRun:
    prepared = prepared_of(spec)
    directory = out / run_name(prepared)
    return PlannedRun(spec, prepared, directory, is_finished(directory))


def check_names(sweep: Sweep, data_dir: Path | None, shared: Shared) -> None:
    """Raises IclError for a value that means nothing in any cell: an unknown task, template, model, selector, …"""
    _known("metric", sweep.metric, COMPARED)
    checks: dict[str, Callable[[RunSpec], Any]] = {
        "selector": lambda cell: None if cell.selector.startswith(PREFIX) else _known("selector", cell.selector, SELECTORS),
        "order": lambda cell: check_order(cell.order),
        "calibration": lambda cell: get_calibrator(cell.calibration[0]),
        "device": lambda cell: resolve_device(cell.device),
        "dtype": lambda cell: resolve_dtype(cell.dtype, resolve_device(cell.device)),
        "template": lambda cell: load_template(cell.template) if cell.template else None,
        "task": lambda cell: task_of(cell, data_dir, shared),
        "split": lambda cell: _known("split", cell.split, {role: 0 for of in sweep.cells for role in task_of(of, data_dir, shared).splits}),
        "device_map": lambda cell: _known("device map", cell.device_map, DEVICE_MAPS),
        "model": lambda cell: source_of(cell, shared),
    }
    for field, check in checks.items():
        for cell in {getattr(cell, field): cell for cell in reversed(sweep.cells)}.values():
            check(cell)


def _known(what: str, name: str, known: Collection[str]) -> None:
    """An empty name stands for the default."""
    if name and name not in known:
        raise unknown_name(what, name, known)
