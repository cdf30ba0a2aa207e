"""A sweep as plain values: `sweep.json` and `icl sweep --json`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from icl.sweep.analysis import Analysis
from icl.sweep.estimate import Estimate
from icl.sweep.marginals import Effect, Marginal
from icl.sweep.plan import Plan
from icl.sweep.report.sentences import confirm_command, warning
from icl.sweep.results import Results, Row
from icl.sweep.settings import varying, word
from icl.sweep.statistics import Contrast

Json = dict[str, Any]


def to_json(results: Results, groups: Sequence[Analysis]) -> Json:
    """Rows by group, best first; what failed; cost of what was computed and of what was found."""
    names = list(results.fields)
    return {
        "sweep": results.name,
        "dir": str(results.dir),
        "fields": {name: [word(name, value) for value in values] for name, values in results.fields.items()},
        "groups": [_group(of, names) for of in groups],
        "failed": [{"settings": settings(row, names), "reason": row.reason} for row in results.failed],
        "runs": {"computed": results.n_computed, "found": results.n_found},
        "cost": {"computed": results.computed, "found": results.found},
    }


def plan_json(plan: Plan, work: Estimate) -> Json:
    """What `--dry-run --json` prints."""
    names = list(varying(plan.sweep.cells))
    cells = []
    for cell in plan.sweep.cells:
        run = plan.runs[plan.of[cell]]
        of = {name: word(name, getattr(cell, name)) for name in names} | {"seed": cell.seed}
        name = run.directory.name if run.directory else None
        cells.append({"settings": of, "run": name, "finished": run.finished, "reason": run.reason})
    return {**asdict(work), "list": cells}


def settings(row: Row, names: Sequence[str]) -> Json:
    """What tells a row from the others, as the sweep file writes it."""
    return {name: word(name, getattr(row.spec, name)) for name in names}


def _group(of: Analysis, names: Sequence[str]) -> Json:
    group = of.group
    return {
        "task": group.task,
        "split": group.split,
        "metric": group.metric,
        "n_draws": len(group.draws),
        "n_queries": group.n_queries,
        "pairs": of.pairs,
        "chosen_on_test": of.chosen_on_test,
        "held_out": of.held_out,
        "warning": warning(of),
        "confirm": confirm_command(of),
        "rows": [_row(row, contrast, names) for row, contrast in zip(group.rows, of.to_best, strict=True)],
        "mcnemar": asdict(of.duel) if of.duel else None,
        "marginals": {
            name: [_marginal([name], m, of.effects[name][i]) for i, m in enumerate(found)] for name, found in of.marginals.items()
        },
        "surfaces": [{"fields": list(pair), "cells": [_marginal(pair, m, None) for m in found]} for pair, found in of.surfaces.items()],
    }


def _row(row: Row, contrast: Contrast | None, names: Sequence[str]) -> Json:
    return {
        "settings": settings(row, names),
        "seeds": list(row.seeds),
        "mean": row.mean,
        "ci95": _interval(row.ci95),
        "per_draw": row.values,
        "to_best": _contrast(contrast) if contrast else None,
        "runs": [run.name for run in row.runs],
    }


def _contrast(of: Contrast) -> Json:
    return {"mean": of.mean, "interval": _interval(of.interval), "p_adjusted": of.p_adjusted}


def _marginal(names: Sequence[str], of: Marginal, effect: Effect | None) -> Json:
    out: Json = {name: word(name, value) for name, value in zip(names, of.values, strict=True)}
    out |= {"mean": of.mean, "ci95": _interval(of.ci95), "cells": of.cells}
    if effect:
        out["to_first"] = {"mean": effect.mean, "ci95": _interval(effect.ci95), "p_adjusted": effect.p_adjusted}
    return out


def _interval(of: tuple[float, float] | None) -> list[float] | None:
    return list(of) if of else None
