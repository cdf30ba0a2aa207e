"""The statistics of a sweep, against scipy and by simulation."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from icl.intervals import holm, paired_difference
from icl.spec import RunSpec
from icl.sweep.marginals import effects, marginals
from icl.sweep.results import Group, Row
from icl.sweep.settings import varying
from icl.sweep.statistics import AllPairs, held_out, least_t


def test_all_pairs_are_paired_t_tests_after_holm() -> None:
    values = np.random.default_rng(1).normal(0.6, 0.1, (5, 6)) + np.linspace(0, 0.3, 5)[:, None]
    pairs = AllPairs(values)
    every = list(combinations(range(5), 2))
    expected = dict(zip(every, holm([float(stats.ttest_rel(values[a], values[b]).pvalue) for a, b in every]), strict=True))
    for (a, b), p in expected.items():
        contrast = pairs.contrast(b, a)
        assert contrast.p_adjusted == pytest.approx(p)
        known = stats.ttest_rel(values[b], values[a]).confidence_interval(1 - 0.05 / len(every))
        assert contrast.interval == pytest.approx((known.low, known.high))


def test_equal_differences_have_the_p_value_of_a_paired_difference() -> None:
    values = [[0.5, 0.6, 0.7], [0.5, 0.6, 0.7], [0.6, 0.7, 0.8]]
    pairs = AllPairs(values)
    expected = holm([paired_difference(values[a], values[b]).p_value or 0.0 for a, b in combinations(range(3), 2)])
    assert [pairs.contrast(*pair).p_adjusted for pair in combinations(range(3), 2)] == expected


def test_one_draw_has_neither_interval_nor_p() -> None:
    contrast = AllPairs([[0.5], [0.7]]).contrast(1, 0)
    assert (contrast.mean, contrast.interval, contrast.p_adjusted) == (pytest.approx(0.2), None, None)
    assert held_out([[0.5], [0.7]], True) is None


def test_picking_the_largest_difference_keeps_five_percent_where_a_studentised_range_does_not() -> None:
    """Twelve equal cells, ten draws, spreads from 0.3 to 3: some pairs are ten times as noisy as others."""
    rng = np.random.default_rng(0)
    rows, draws, sets = 12, 10, 1500
    x = rng.standard_normal((sets, rows, draws)) * np.linspace(0.3, 3, rows)[:, None]
    a, b = np.triu_indices(rows, 1)
    difference = x[:, a] - x[:, b]
    t = np.abs(difference.mean(axis=2)) / (difference.std(axis=2, ddof=1) / draws**0.5)
    assert np.mean(t.max(axis=1) > least_t(len(a), draws)) < 0.06
    residual = x - x.mean(axis=1, keepdims=True) - x.mean(axis=2, keepdims=True) + x.mean(axis=(1, 2), keepdims=True)
    error = (residual**2).sum(axis=(1, 2)) / ((rows - 1) * (draws - 1))
    q = np.ptp(x.mean(axis=2), axis=1) / np.sqrt(error / draws)
    assert np.mean(q > stats.studentized_range.ppf(0.95, rows, (rows - 1) * (draws - 1))) > 0.1


def test_the_held_out_value_has_no_luck_of_being_picked() -> None:
    rng = np.random.default_rng(2)
    sets = rng.normal(0.7, 0.05, (400, 10, 5))  # ten equal cells
    assert np.mean([values.mean(axis=1).max() for values in sets]) > 0.72
    assert np.mean([held_out(values, True) for values in sets]) == pytest.approx(0.7, abs=0.003)
    assert np.mean([held_out(values, False) for values in sets]) == pytest.approx(0.7, abs=0.003)


def row(value: float, **settings: object) -> Row:
    spec = RunSpec("t", **settings)  # type: ignore[arg-type]
    draws = {(0, f"e{i}", "q"): value + luck for i, luck in enumerate((0.0, 0.1, 0.3))}
    return Row(spec, spec, (0,), "t", "accuracy", draws, ())


def group(*rows: Row) -> Group:
    return Group("t", "test", (), "accuracy", 10, rows, varying([of.spec for of in rows]))


def test_marginal_means_compare_equal_companions() -> None:
    """The knn cell stands beside a grid: it must not make the templates incomparable, nor enter their means."""
    of = group(
        row(0.1, template="a", shots=1), row(0.3, template="b", shots=1), row(0.5, template="a", shots=2),
        row(0.7, template="b", shots=2), row(0.9, template="a", shots=4), row(0.0, template="b", shots=4, selector="knn"),
    )  # fmt: skip
    by_template = marginals(of, ["template"])
    assert [(m.values, m.cells) for m in by_template] == [(("a",), 2), (("b",), 2)]
    assert [m.mean - np.mean([0.0, 0.1, 0.3]) for m in by_template] == [pytest.approx(0.3), pytest.approx(0.5)]
    (first, second) = effects({"template": by_template})["template"]
    assert first is None
    assert second is not None
    assert second.mean == pytest.approx(0.2)
    assert [m.values for m in marginals(of, ["shots", "template"])] == [(1, "a"), (1, "b"), (2, "a"), (2, "b"), (4, "a")]
    assert marginals(of, ["selector"]) == [], "no setting has both selectors"


def test_numbers_stand_in_their_order_and_all_of_them_last() -> None:
    specs = [RunSpec("t", shots=8, queries=None), RunSpec("t", shots=2, queries=50, template="z"), RunSpec("t", shots=4, queries=9)]
    found = varying(specs)
    assert (found["shots"], found["queries"], found["template"]) == ((2, 4, 8), (9, 50, None), ("", "z"))
    assert "seed" not in varying([RunSpec("t"), RunSpec("t", seed=1)]), "seeds are more draws of a cell"
