"""What came out of a sweep: rows of a table, and groups of rows that can be compared on the same queries.

A row is a cell without its seed: seeds are more draws of the same setting, not a setting. The draws of a row are its episodes; two rows
can be compared draw by draw when they asked the same queries in the same draws.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from icl.cost import add_costs
from icl.intervals import Interval, t_interval
from icl.prepare import Prepared
from icl.runs import Run
from icl.spec import RunSpec
from icl.sweep.plan import COMPARED, Plan
from icl.sweep.settings import varying


class Outcome(Protocol):
    """What became of a planned run: see icl.sweep.run.Made."""

    @property
    def run(self) -> Run | None: ...
    @property
    def computed(self) -> bool: ...
    @property
    def reason(self) -> str: ...


Draw = tuple[int, str, str]
"""Seed, episode, and a digest of the queries that were asked."""


@dataclass(frozen=True)
class Row:
    """One setting with its value in every draw."""

    cell: RunSpec
    """As the file says it, with the first seed."""
    spec: RunSpec
    """The same with every default filled in."""
    seeds: tuple[int, ...]
    task: str
    metric: str
    draws: Mapping[Draw, float]
    runs: tuple[Run, ...]
    reason: str = ""
    """Why there is no value: then there are no draws."""

    @property
    def values(self) -> list[float]:
        """In the order of the draws."""
        return [self.draws[draw] for draw in sorted(self.draws)]

    @property
    def mean(self) -> float:
        """Over the draws."""
        return sum(self.values) / len(self.values)

    @property
    def ci95(self) -> Interval | None:
        """Student's t over the draws; None for one."""
        return t_interval(self.values)


@dataclass(frozen=True)
class Group:
    """Rows that asked the same queries in the same draws, the best first."""

    task: str
    split: str
    other_splits: tuple[str, ...]
    """Roles of the task's other splits that have answers."""
    metric: str
    n_queries: int
    rows: tuple[Row, ...]
    fields: Mapping[str, tuple[Any, ...]]
    """Fields that differ between these rows → their values, in the file's order."""

    @property
    def draws(self) -> list[Draw]:
        """Of every row."""
        return sorted(self.rows[0].draws)


@dataclass(frozen=True)
class Results:
    """A finished sweep."""

    plan: Plan
    dir: Path
    """Where the report lies."""
    groups: tuple[Group, ...]
    failed: tuple[Row, ...]
    fields: Mapping[str, tuple[Any, ...]]
    """Fields that differ between cells → their values, in the file's order."""
    computed: Mapping[str, Any]
    """Cost of the runs that were made now."""
    found: Mapping[str, Any]
    """Cost that the runs which were found had when they were made."""
    n_computed: int
    n_found: int

    @property
    def name(self) -> str:
        """Of the directory."""
        return self.dir.name


def gather(plan: Plan, made: Sequence[Outcome], out: Path) -> Results:
    """Rows and groups from the finished runs."""
    kin: dict[RunSpec, list[RunSpec]] = {}
    for filled, cell in {plan.filled[cell]: cell for cell in reversed(plan.sweep.cells)}.items():
        kin.setdefault(replace(filled, seed=0), []).insert(0, cell)
    rows = [_row(cells, plan, made) for cells in reversed(kin.values())]
    done = [row for row in rows if not row.reason]
    computed = [of.run for of in made if of.run and of.computed]
    found = [of.run for of in made if of.run and not of.computed]
    return Results(
        plan=plan,
        dir=out / sweep_name(plan),
        groups=tuple(_groups(done, plan)),
        failed=tuple(row for row in rows if row.reason),
        fields=varying([row.spec for row in rows]),
        computed=add_costs([run.cost for run in computed]),
        found=add_costs([run.cost for run in found]),
        n_computed=len(computed),
        n_found=len(found),
    )


def sweep_name(plan: Plan) -> str:
    """`sweep-NAME-HASH`: the hash is over what decides the report, the cells and what they are compared by."""
    digest = hashlib.sha256(plan.sweep.metric.encode())
    for cell in sorted(repr((_identity(plan, cell), cell.calibration)) for cell in plan.sweep.cells):
        digest.update(cell.encode())
    return f"sweep-{plan.sweep.name}-{digest.hexdigest()[:10]}"


def _identity(plan: Plan, cell: RunSpec) -> str:
    prepared = plan.runs[plan.of[cell]].prepared
    return prepared.resolved.hash() if prepared else repr(cell)


def _row(cells: Sequence[RunSpec], plan: Plan, made: Sequence[Outcome]) -> Row:
    """All seeds of a setting. It has a value only if every seed has one."""
    seeds = tuple(cell.seed for cell in cells)
    draws: dict[Draw, float] = {}
    runs = []
    filled, task, metric = plan.filled[cells[0]], cells[0].task, ""

    def failed(reason: str) -> Row:
        return Row(cells[0], filled, seeds, task, "", {}, (), reason)

    for cell in cells:
        at = plan.of[cell]
        run, prepared = made[at].run, plan.runs[at].prepared
        if run is None or prepared is None:
            return failed(made[at].reason)
        task = prepared.task.name
        calibration = cell.calibration[0]
        metrics = run.summary["metrics"].get(calibration, {})
        metric = plan.sweep.metric or _leading(prepared, metrics)
        if metric not in metrics:
            return failed(f"{metric or 'a metric'} is not measured under calibration '{calibration}' of task '{task}'")
        draws |= _draws(cell.seed, prepared, metrics[metric]["per_episode"])
        runs.append(run)
    return Row(cells[0], filled, seeds, task, metric, draws, tuple(runs))


def _leading(prepared: Prepared, metrics: Mapping[str, Any]) -> str:
    """The card's first metric that was measured and that can be compared."""
    return next((name for name in (*prepared.task.metrics, *COMPARED) if name in metrics and name in COMPARED), "")


def _draws(seed: int, prepared: Prepared, values: Sequence[float]) -> dict[Draw, float]:
    fingerprint = prepared.resolved.task_fingerprint
    asked = [hashlib.sha256("\0".join([fingerprint, *episode.query]).encode()).hexdigest()[:16] for episode in prepared.episodes]
    return {(seed, episode.id, of): value for episode, of, value in zip(prepared.episodes, asked, values, strict=True)}


def _groups(rows: Sequence[Row], plan: Plan) -> list[Group]:
    """By task, metric and draws; within a group the best row first."""
    from icl.metrics import METRICS

    kin: dict[Any, list[Row]] = {}
    for row in rows:
        kin.setdefault((row.task, row.metric, frozenset(row.draws)), []).append(row)
    out = []
    for (task, metric, _), of in kin.items():
        sign = -1 if METRICS[metric].higher_is_better else 1
        ranked = sorted(of, key=lambda row: sign * row.mean)
        facts, prepared = of[0].runs[0].facts, plan.runs[plan.of[of[0].cell]].prepared
        others = tuple(role for role in prepared.task.splits if role != facts["split"]) if prepared else ()
        out.append(Group(task, facts["split"], others, metric, facts["n_queries"], tuple(ranked), varying([row.spec for row in of])))
    return out
