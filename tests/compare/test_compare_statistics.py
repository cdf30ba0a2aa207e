"""Intervals and paired contrasts against scipy; Holm over all contrasts of the report; the words drawn from them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from compare.report import facts
from compare.statistics import accuracy_of, contrasts

DRAW = np.random.default_rng(0)
PROMPT = {k: DRAW.uniform(0.4, 0.8, 8) for k in (1, 4)}
VALUES: dict[tuple[str, int], Any] = {
    **{("in-context", k): PROMPT[k] for k in (1, 4)},
    **{("maml", k): PROMPT[k] + DRAW.normal(0.15, 0.05, 8) for k in (1, 4)},
    **{("protonet", k): PROMPT[k] + DRAW.normal(0.0, 0.05, 8) for k in (1, 4)},
}


def test_the_contrasts_are_paired_and_adjusted_over_all_of_them() -> None:
    found = contrasts(VALUES)
    assert set(found) == {("maml", 1), ("maml", 4), ("protonet", 1), ("protonet", 4)}
    raw = {}
    for (learner, k), contrast in found.items():
        test = stats.ttest_rel(VALUES[learner, k], PROMPT[k])
        interval = test.confidence_interval(0.95)
        raw[learner, k] = test.pvalue
        assert contrast.difference.p_value == pytest.approx(test.pvalue)
        assert contrast.difference.ci95 == pytest.approx((interval.low, interval.high))
    smallest = min(raw, key=lambda cell: raw[cell])
    assert found[smallest].p_adjusted == pytest.approx(min(1, 4 * raw[smallest]))
    largest = max(raw, key=lambda cell: raw[cell])
    assert found[largest].p_adjusted == pytest.approx(max(raw[largest], max(c.p_adjusted or 0 for c in found.values())))


def test_accuracy_has_students_interval() -> None:
    values = VALUES["maml", 4]
    low, high = stats.t.interval(0.95, 7, loc=values.mean(), scale=stats.sem(values))
    assert accuracy_of(values).ci95 == pytest.approx((low, high))


def test_one_episode_has_neither_interval_nor_p() -> None:
    found = contrasts({("in-context", 4): [0.5], ("maml", 4): [0.7], ("protonet", 4): [0.5]})
    assert found["maml", 4].to_json() == {"mean": pytest.approx(0.2), "ci95": None, "p": None, "p_adjusted": None, "per_episode": [pytest.approx(0.2)]}  # fmt: skip
    assert found["protonet", 4].p_adjusted is None
    assert accuracy_of([0.5]).ci95 is None


def test_without_in_context_learning_there_is_no_contrast() -> None:
    assert contrasts({("maml", 4): [0.7, 0.8]}) == {}


def test_the_report_says_which_contrasts_are_told_apart() -> None:
    rows = [
        {"learner": learner, "k_shot": 4, "accuracy": accuracy_of(VALUES[learner, 4]).to_json(),
         "difference_to_in_context": contrasts(VALUES)[learner, 4].to_json() if learner != "in-context" else None}
        for learner in ("in-context", "maml", "protonet")
    ]  # fmt: skip
    summary = {"rows": rows, "budget": {"related_tasks": ["books"]}}
    assert facts.may_conclude(summary).endswith("maml is better than in-context; protonet and in-context are not told apart.")
    assert facts.lead(summary)[0].startswith("With 4 examples per label, maml is right most often")
    assert "All learners but in-context and zero-shot used labelled rows of books" in facts.may_not_conclude(summary, 8)
