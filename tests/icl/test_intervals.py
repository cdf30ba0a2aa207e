"""Estimates, the t interval, the crossed bootstrap's structure, ECE's jackknife, and the paired tests."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from icl import intervals
from icl.intervals import crossed_bootstrap, crossed_variance, holm, mcnemar, paired_difference, pooled_ece, summarise, t_interval
from icl.metrics import METRICS, GenerationOutcome, Outcome, ece
from tasks.errors import IclError

ALL = ["accuracy", "macro_f1", "mcc", "nll", "ece", "label_bias", "exact_match", "token_f1"]


def episodes(count: int, queries: int = 30, split: int = 100, seed: int = 0, labels: bool = True) -> list[Outcome]:
    rng = np.random.default_rng(seed)
    target = rng.integers(0, 3, split)
    out = []
    for _ in range(count):
        rows = rng.choice(split, queries, replace=False)
        logits = rng.normal(size=(queries, 3)) + rng.normal(0, 0.5, 3)
        logits[np.arange(queries), target[rows]] += 1.5
        log_probs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        out.append(Outcome(log_probs, target[rows], tuple(f"q{r}" for r in rows), ("x", "y", "z") if labels else None))
    return out


def test_t_interval_equals_scipy():
    values = [0.7, 0.8, 0.75, 0.6, 0.9]
    expected = stats.t.interval(0.95, 4, loc=np.mean(values), scale=stats.sem(values))
    np.testing.assert_allclose(t_interval(values), expected)


def test_t_interval_edges():
    assert t_interval([0.5]) is None
    assert t_interval([0.5, 0.5]) == (0.5, 0.5)
    for bad in (np.nan, np.inf):
        with pytest.raises(IclError, match="episode number 2 has"):
            t_interval([0.5, bad, 0.5])


def test_a_value_that_is_not_finite_is_an_error_and_not_dropped():
    lost = Outcome(np.array([[0.0, -np.inf]]), np.array([1]), ("q",))
    with pytest.raises(IclError, match="nll must be finite in every episode"):
        summarise([*episodes(2, labels=False), lost], ["nll"])


def test_summary_has_every_metric_that_applies_and_an_honest_json():
    for count, interval, bootstrap in ((1, False, False), (5, True, False), (20, True, True)):
        outcomes = episodes(count)
        summary = summarise(outcomes, ALL)
        assert list(summary) == ["accuracy", "macro_f1", "mcc", "nll", "ece", "label_bias"]
        for name, estimate in summary.items():
            out = estimate.to_json()
            assert json.loads(json.dumps(out)) == out
            assert set(out) == {"mean", "ci95", "bootstrap95", "per_episode"} | ({"bias"} if name == "ece" else set())
            assert (out["ci95"] is not None) == interval, name
            assert (out["bootstrap95"] is not None) == (bootstrap and name != "ece"), name
            assert out["per_episode"] == [float(METRICS[name](outcome)) for outcome in outcomes]
            if name != "ece":
                assert out["mean"] == pytest.approx(np.mean(out["per_episode"]))
            for low_high in (estimate.ci95, estimate.bootstrap95):
                assert low_high is None or low_high[0] < estimate.mean < low_high[1]


def test_worst_and_best_follow_the_direction_of_the_metric():
    summary = summarise(episodes(5), ["accuracy", "nll"])
    assert summary["accuracy"].worst == min(summary["accuracy"].per_episode)
    assert summary["nll"].worst == max(summary["nll"].per_episode)
    assert summary["nll"].best == min(summary["nll"].per_episode)


def test_label_metrics_need_fixed_candidates_in_every_episode():
    assert list(summarise(episodes(2, labels=False), ALL)) == ["accuracy", "nll", "ece"]
    assert list(summarise([*episodes(1), *episodes(1, labels=False)], ALL)) == ["accuracy", "nll", "ece"]
    text = GenerationOutcome(("x", "y"), (("x",), ("z",)), ("q", "r"))
    assert {name: e.mean for name, e in summarise([text], ALL).items()} == {"exact_match": 0.5, "token_f1": 0.5}
    assert list(summarise(episodes(1))) == ["accuracy", "macro_f1", "mcc", "nll", "ece", "label_bias"]
    with pytest.raises(IclError, match="at least one episode"):
        summarise([], ALL)
    with pytest.raises(IclError, match="unknown metric"):
        summarise(episodes(1), ["accurracy"])


def test_a_summary_is_the_same_each_time_and_whatever_the_block_size(monkeypatch):
    outcomes = episodes(20)
    first = summarise(outcomes, ["macro_f1"])["macro_f1"]
    assert summarise(outcomes, ["macro_f1"])["macro_f1"] == first
    monkeypatch.setattr(intervals, "_BLOCK", 1)
    assert summarise(outcomes, ["macro_f1"])["macro_f1"].bootstrap95 == first.bootstrap95


def test_crossed_variance_of_disjoint_queries_is_that_of_the_episodes():
    rng = np.random.default_rng(0)
    values = rng.random(6)
    influences = [rng.normal(size=5) for _ in range(6)]
    place = [np.arange(5) + 5 * e for e in range(6)]
    assert crossed_variance(values, influences, place) == pytest.approx(values.var(ddof=1) / 6, rel=1e-12)


def test_crossed_variance_is_two_way_cluster_variance():
    """Against V_episode + V_query − V_cell written out over the cells of a small crossed table."""
    rng = np.random.default_rng(1)
    queries, count = 8, 5
    table = rng.normal(size=(count, queries)) + 3 * rng.normal(size=queries)
    values = table.mean(axis=1)
    centred = (table - values[:, None]) * (queries / (queries - 1)) ** 0.5 / (count * queries)
    by_query, by_cell = (centred.sum(axis=0) ** 2).sum(), (centred**2).sum()
    influences = [(row - row.mean()) / queries for row in table]
    assert by_query > by_cell
    expected = values.var(ddof=1) / count + by_query - by_cell
    assert crossed_variance(values, influences, [np.arange(queries)] * count) == pytest.approx(expected, rel=1e-12)


def test_crossed_variance_never_falls_below_that_of_the_episodes():
    values = np.array([0.4, 0.6])
    opposed = [np.array([0.1, -0.1]), np.array([-0.1, 0.1])]  # a query that is easy in one episode is hard in the other
    assert crossed_variance(values, opposed, [np.arange(2)] * 2) == pytest.approx(0.01)


def test_shared_queries_widen_the_bootstrap_and_constant_outcomes_have_no_width():
    rng = np.random.default_rng(2)
    easy = rng.random(40) < 0.5
    right = np.log(np.where(easy[:, None], [[0.9, 0.1]], [[0.1, 0.9]]))
    same = [Outcome(right, np.zeros(40, dtype=np.int64), tuple(f"q{i}" for i in range(40))) for _ in range(20)]
    other = [Outcome(right, np.zeros(40, dtype=np.int64), tuple(f"e{e}q{i}" for i in range(40))) for e in range(20)]
    low, high = crossed_bootstrap(METRICS["accuracy"], same)
    # every episode has the same value: all uncertainty is which 40 queries there are
    assert high - low == pytest.approx(2 * stats.t.ppf(0.975, 19) * (easy.var(ddof=1) / 40) ** 0.5, rel=0.1)
    low, high = crossed_bootstrap(METRICS["accuracy"], other)
    assert high - low < 1e-6
    perfect = [Outcome(right[easy], np.zeros(easy.sum(), dtype=np.int64), tuple(str(i) for i in range(easy.sum()))) for _ in range(20)]
    assert crossed_bootstrap(METRICS["accuracy"], perfect) == (1.0, 1.0)


def test_ece_is_pooled_and_its_interval_is_the_jackknife():
    outcomes = episodes(6)
    value, interval, bias = pooled_ece(outcomes)
    confidence = np.concatenate([o.confidence for o in outcomes])
    correct = np.concatenate([o.correct for o in outcomes])
    assert value == ece(confidence, correct)
    assert value < np.mean([float(METRICS["ece"](o)) for o in outcomes])  # averaging the episodes would add their bias
    without = [pooled_ece(outcomes[:e] + outcomes[e + 1 :])[0] for e in range(6)]
    half = stats.t.ppf(0.975, 5) * np.sqrt(5 / 6 * np.sum((np.array(without) - np.mean(without)) ** 2))
    np.testing.assert_allclose(interval, (value - half, value + half))
    assert 0 < bias < 0.1
    assert pooled_ece(outcomes[:1])[1] is None


def test_paired_difference_equals_scipy():
    a, b = [0.8, 0.7, 0.9, 0.85], [0.75, 0.72, 0.8, 0.7]
    expected = stats.ttest_rel(a, b)
    got = paired_difference(a, b)
    assert got.p_value == pytest.approx(expected.pvalue)
    np.testing.assert_allclose(got.ci95, expected.confidence_interval())
    assert got.mean == pytest.approx(0.07)


def test_paired_difference_edges():
    assert paired_difference([0.5, 0.6], [0.5, 0.6]).p_value == 1.0
    assert paired_difference([0.5], [0.5]).p_value == 1.0
    alone = paired_difference([0.6], [0.5])
    assert (alone.ci95, alone.p_value) == (None, None)
    assert paired_difference([0.8, 0.7, 0.6], [0.7, 0.6, 0.5]).p_value == 0.25  # equal differences up to rounding: not 0
    with pytest.raises(IclError, match="same episodes"):
        paired_difference([0.5], [0.5, 0.6])
    with pytest.raises(IclError, match="finite"):
        paired_difference([np.nan, 0.5], [0.5, 0.5])


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
    with pytest.raises(IclError, match="must lie in"):
        holm([0.1, np.nan])


def test_mcnemar_is_the_exact_binomial():
    a = [True] * 8 + [False] * 2 + [True] * 5
    b = [False] * 8 + [True] * 2 + [True] * 5
    result = mcnemar(a, b)
    assert (result.only_a, result.only_b) == (8, 2)
    assert result.p_value == pytest.approx(2 * sum(stats.binom.pmf(k, 10, 0.5) for k in range(3)))
    assert mcnemar([True, False], [True, False]).p_value == 1.0
    with pytest.raises(IclError, match="same queries"):
        mcnemar([True], [True, False])
