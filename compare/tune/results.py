"""A tuning as plain values: `tune.json`, which `icl tune --json` prints and the report is a view of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from compare.statistics import Accuracy, accuracy_of, adjusted
from compare.tune.importance import importance
from compare.tune.judge import Tested
from compare.tune.prepare import Prepared
from compare.tune.search import CUT, FAILED, FULL, PRUNED, Search, Trial
from compare.tune.types import IN_CONTEXT, Settings
from icl.calibration import get_calibrator
from icl.intervals import paired_difference

Json = dict[str, Any]


def to_json(
    name: str,
    prepared: Prepared,
    searches: Mapping[str, Search],
    best: Mapping[str, Trial],
    settings: Mapping[str, Settings],
    tested: Mapping[str, Tested],
) -> Json:
    """Everything that a report says."""
    spec = prepared.spec
    test = {method: accuracy_of(of.accuracy) for method, of in tested.items()}
    return {
        "tuning": name,
        "spec_sha256": prepared.resolved.hash(),
        "task": prepared.task.name,
        "model": spec.model,
        "labels": list(prepared.task.labels),
        "chance": prepared.chance,
        "k_shot": spec.k_shot,
        "sampler": spec.sampler,
        "pruner": spec.pruner,
        "budget": asdict(spec.budget),
        "trials_at_most": spec.trials,
        "validation": {"episodes": spec.episodes, "queries": spec.queries},
        "test": {"episodes": spec.test_episodes, "queries": spec.test_queries},
        "seed": spec.seed,
        "methods": [
            _method(method, prepared, search, best[method], settings[method], tested[method].run, test[method])
            for method, search in searches.items()
        ],
        "differences": _differences(tested),
    }


def _method(method: str, prepared: Prepared, search: Search, best: Trial, settings: Settings, run: str, test: Accuracy) -> Json:
    trials = search.trials
    first = trials[0]
    return {
        "method": method,
        "space": prepared.spec.spaces[method],
        "settings": dict(settings),
        "transductive": method == IN_CONTEXT and get_calibrator(str(settings["calibration"])).transductive,
        "best_trial": best.number,
        "validation_accuracy": best.accuracy,
        "usual_accuracy": first.accuracy if first.end == FULL else None,
        "flops_per_query": round(best.flops_per_query),
        "test": {**test.to_json(), "per_episode": list(test.per_episode), "run": run},
        "ended_by": search.over(),
        "spent": {"flops": sum(t.charged for t in trials), "episodes": sum(len(t.outcomes) for t in trials)},
        "counts": {"trials": len(trials)} | {end: sum(t.end == end for t in trials) for end in (FULL, PRUNED, CUT, FAILED)},
        "importance": importance(search.study),
        "trials": [_trial(t) for t in trials],
    }


def _trial(trial: Trial) -> Json:
    played = bool(trial.outcomes)
    return {
        "number": trial.number,
        "settings": dict(trial.settings),
        "end": trial.end,
        "reason": trial.reason,
        "episodes": len(trial.outcomes),
        "accuracy": trial.accuracy if played else None,
        "nll": trial.nll if played else None,
        "flops_per_query": round(trial.flops_per_query) if played else None,
        "charged_flops": trial.charged,
        "per_episode": [o.accuracy for o in trial.outcomes],
        "failed_episodes": sum(bool(o.reason) for o in trial.outcomes),
        "failed_because": next((o.reason for o in trial.outcomes if o.reason), ""),
    }


def _differences(tested: Mapping[str, Tested]) -> list[Json]:
    """Every method's test accuracy minus the first method's, in pairs of episodes."""
    first, *others = tested
    found = adjusted({other: paired_difference(tested[other].accuracy, tested[first].accuracy) for other in others})
    return [{"method": other, "reference": first, **contrast.to_json()} for other, contrast in found.items()]
