"""Baselines of functions: against formulas by hand, against each other, and on the functions that they are made for."""

from __future__ import annotations

import numpy as np
import pytest

from compare.baselines import BASELINES, GreedyTree, Lasso, NearestNeighbours, Ridge, TrainedNetwork, averaging, errors_along, least_squares
from tasks import keyed_rng
from tasks.functions import sample

RNG = np.random.default_rng(0)
X, Y, ASKED = RNG.standard_normal((4, 6, 3)), RNG.standard_normal((4, 6)), RNG.standard_normal((4, 5, 3))


@pytest.mark.parametrize("name", BASELINES)
def test_a_task_is_answered_by_itself(name: str) -> None:
    """Whatever is computed together, other tasks and other queries change nothing."""
    baseline = TrainedNetwork(steps=20) if name == "trained-network" else BASELINES[name]
    together = baseline(X, Y, ASKED)
    assert together.shape == (4, 5)
    assert np.isfinite(together).all()
    alone = np.stack([baseline(X[t : t + 1], Y[t : t + 1], ASKED[t : t + 1, :2])[0] for t in range(4)])
    np.testing.assert_allclose(together[:, :2], alone, atol=1e-9)


def test_least_squares_is_that_of_numpy_with_many_and_with_few_points() -> None:
    for n in (6, 2):
        weights = [np.linalg.lstsq(X[t, :n], Y[t, :n], rcond=None)[0] for t in range(4)]
        np.testing.assert_allclose(least_squares(X[:, :n], Y[:, :n], ASKED), np.einsum("tqd,td->tq", ASKED, weights))


def test_ridge_tends_to_least_squares_and_to_nothing() -> None:
    np.testing.assert_allclose(Ridge(1e-9)(X, Y, ASKED), least_squares(X, Y, ASKED), atol=1e-6)
    assert np.abs(Ridge(1e9)(X, Y, ASKED)).max() < 1e-6
    points = sample("linear", 2000, 9, 4, keyed_rng(0, "test"), shift="noise")
    ridge, plain = (errors_along(b, points).mean(axis=0) for b in (Ridge(1.0), least_squares))
    assert (ridge[3:] < plain[3:]).all(), "with noise of variance 1 it is the Bayes-optimal answer"


def test_the_others_by_hand() -> None:
    w = (X[1] * Y[1][:, None]).mean(axis=0)
    assert averaging(X, Y, ASKED)[1, 2] == pytest.approx(ASKED[1, 2] @ w)
    nearest = np.argsort(((X[3] - ASKED[3, 0]) ** 2).sum(axis=1))[:2]
    assert NearestNeighbours(2)(X, Y, ASKED)[3, 0] == pytest.approx(Y[3][nearest].mean())
    assert NearestNeighbours(9)(X, Y, ASKED)[3, 0] == pytest.approx(Y[3].mean())
    np.testing.assert_allclose(GreedyTree()(X, Y, X), Y)
    np.testing.assert_allclose(TrainedNetwork(steps=300, lr=0.02)(X, Y, X), Y, atol=0.05)


def test_along_a_sequence_only_what_was_shown_counts() -> None:
    points = sample("linear", 300, 7, 5, keyed_rng(0, "test"))
    errors = errors_along(least_squares, points)
    np.testing.assert_allclose(errors[:, 0], points.y[:, 0] ** 2)
    assert errors[:, 5:].max() < 1e-8, "5 points decide a function of 5 numbers"
    expected = [5 * (1 - i / 5) for i in range(5)]
    np.testing.assert_allclose(errors[:, :5].mean(axis=0), expected, rtol=0.35)


def test_each_is_best_where_it_belongs() -> None:
    sparse = sample("sparse-linear", 40, 12, 20, keyed_rng(0, "test"))
    lasso, plain = (errors_along(b, sparse)[:, -1].mean() for b in (Lasso(0.1), least_squares))
    assert lasso < 0.7 * plain
    trees = sample("tree", 40, 100, 4, keyed_rng(0, "test"))
    x, y = trees.x, trees.y
    said = {
        name: b(x[:, :80], y[:, :80], x[:, 80:])
        for name, b in {"tree": GreedyTree(signs=True), "neighbours": NearestNeighbours(), "linear": least_squares}.items()
    }
    error = {name: ((value - y[:, 80:]) ** 2).mean() for name, value in said.items()}
    assert error["tree"] < error["neighbours"] < error["linear"]
