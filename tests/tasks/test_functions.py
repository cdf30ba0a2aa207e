"""Classes of functions and shifts: what the paper says of them, keyed draws, mistakes."""

from __future__ import annotations

import numpy as np
import pytest

from tasks import IclError, keyed_rng
from tasks.functions import FUNCTION_CLASSES, SHIFTS, sample, sparse_linear, tree
from tasks.functions.linear import Linear


@pytest.mark.parametrize("name", FUNCTION_CLASSES)
def test_every_class_is_keyed_shaped_and_has_its_variance(name: str) -> None:
    family = FUNCTION_CLASSES[name]
    d = family.dimensions
    a, b, other = (sample(name, 3000, 4, d, keyed_rng(seed, "test")) for seed in (0, 0, 1))
    assert a.x.shape == (3000, 4, d)
    assert a.y.shape == (3000, 4)
    assert a.asked_x is a.x
    assert np.array_equal(a.y, b.y)
    assert not np.array_equal(a.y, other.y)
    assert (a.y**2).mean() == pytest.approx(family.variance(d), rel=0.06)


def test_sparse_functions_have_three_weights_anywhere() -> None:
    weights = sparse_linear.draw(2000, 8, keyed_rng(0, "test")).weights
    assert ((weights != 0).sum(axis=1) == 3).all()
    share = (weights != 0).mean(axis=0)
    assert share.min() > 0.33
    assert share.max() < 0.42
    with pytest.raises(IclError, match="use d >= 3"):
        sparse_linear.draw(1, 2, keyed_rng(0, "test"))


def test_a_tree_is_walked_as_it_stands() -> None:
    trees = tree.draw(5, 6, keyed_rng(0, "test"))
    x = keyed_rng(1, "test").standard_normal((5, 9, 6))
    y = trees(x)
    for f in range(5):
        for p in range(9):
            node = 0
            while node < 15:
                node = 2 * node + (2 if x[f, p, trees.coordinate[f, node]] > 0 else 1)
            assert y[f, p] == trees.leaf[f, node - 15]
    assert len(np.unique(y)) > 10


def test_a_network_is_its_formula() -> None:
    points = sample("network", 2, 3, 4, keyed_rng(0, "test"))
    functions = FUNCTION_CLASSES["network"].draw(2, 4, keyed_rng(0, "test"))
    by_hand = sum(functions.above[1, i] * max(0.0, functions.below[1, i] @ points.x[1, 2]) for i in range(100))
    assert points.y[1, 2] == pytest.approx(by_hand)


def shifted(name: str, d: int = 6, n: int = 2000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, y, and the weights that made them."""
    points = sample("linear", n, 8, d, keyed_rng(0, "test"), shift=name)
    drawn = FUNCTION_CLASSES["linear"].draw(n, d, keyed_rng(0, "test"))
    assert isinstance(drawn, Linear)
    return points.x, points.y, drawn.weights


@pytest.mark.parametrize(("name", "scale"), [("none", 1), ("inputs-third", 1 / 3), ("inputs-double", 2), ("inputs-triple", 3)])
def test_inputs_are_scaled_and_the_functions_stay(name: str, scale: float) -> None:
    x, y, w = shifted(name)
    assert x.std() == pytest.approx(scale, rel=0.02)
    np.testing.assert_allclose(y, np.einsum("fpd,fd->fp", x, w))


def test_other_shifts_do_what_they_say() -> None:
    plain = sample("linear", 2000, 8, 6, keyed_rng(0, "test"))
    tripled = sample("linear", 2000, 8, 6, keyed_rng(0, "test"), shift="targets-triple")
    np.testing.assert_allclose(tripled.y, 3 * plain.y)
    noisy = sample("linear", 2000, 8, 6, keyed_rng(0, "test"), shift="noise")
    assert (noisy.y - plain.y).std() == pytest.approx(1, rel=0.02)
    assert np.array_equal(noisy.y, noisy.asked_y), "what was shown and what was asked are one measurement"
    for name, rank in (("subspace", 3), ("skewed", 6)):
        x, y, w = shifted(name)
        assert (np.linalg.matrix_rank(x) == rank).all()
        assert (x**2).sum(axis=-1).mean() == pytest.approx(6, rel=0.05)
        np.testing.assert_allclose(y, np.einsum("fpd,fd->fp", x, w))
    spread = np.linalg.svd(shifted("skewed", n=4000)[0] / 8**0.5, compute_uv=False).mean(axis=0)
    assert spread[0] > 3 * spread[-1]


def test_orthants_part_what_is_shown_from_what_is_asked() -> None:
    points = sample("linear", 500, 8, 6, keyed_rng(0, "test"), shift="orthants")
    assert (np.sign(points.x) == np.sign(points.x[:, :1])).all()
    assert not (np.sign(points.asked_x) == np.sign(points.asked_x[:, :1])).all()
    w = FUNCTION_CLASSES["linear"].draw(500, 6, keyed_rng(0, "test"))
    np.testing.assert_allclose(points.asked_y, w(points.asked_x))


def test_mistakes_are_named() -> None:
    rng = keyed_rng(0, "test")
    with pytest.raises(IclError, match="unknown class of functions 'liner': did you mean linear"):
        sample("liner", 1, 1, 1, rng)
    with pytest.raises(IclError, match="unknown shift 'noisy'"):
        sample("linear", 1, 1, 1, rng, shift="noisy")
    with pytest.raises(IclError, match="points must be 1 or more, but is 0"):
        sample("linear", 1, 0, 1, rng)
    with pytest.raises(IclError, match="use d = 1"):
        sample("sinusoid", 1, 1, 2, rng)
    assert "none" in SHIFTS
