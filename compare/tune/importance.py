"""Which of a space's names mattered: functional ANOVA of a random forest over the trials (Hutter et al. 2014), as Optuna computes it."""

from __future__ import annotations

from typing import Any

LEAST = 4
"""Trials below which a forest has nothing to learn from."""


def importance(study: Any) -> dict[str, float]:
    """Name → share of the variance of the accuracy, the greatest first; empty for too few trials, or where accuracy never changed."""
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances
    from optuna.trial import TrialState

    full = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(full) < LEAST or len({trial.values[0] for trial in full}) < 2:
        return {}
    found = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0), target=lambda trial: trial.values[0])
    return {name: float(value) for name, value in found.items()}
