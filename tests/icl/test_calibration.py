"""Contract of every calibrator, and the formulas of each against plain probability arithmetic."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from typer.main import get_command

from compare.prepare import check_calibration
from icl.calibration import CALIBRATORS, OF_LABELS, LabelScores, Neighbours, get_calibrator
from icl.calibration.length import LENGTHS
from icl.cli.app import app
from icl.results import episode_scores
from tasks.errors import IclError


def draw_scores(queries: int, candidates: int, free: int, shared: bool) -> st.SearchStrategy[LabelScores]:
    finite = st.floats(-300, 0, allow_nan=False)
    owners = 1 if shared else queries
    return st.builds(
        lambda logprob, free, domain, premise, seed: LabelScores(logprob, free, domain, premise, **from_the_pool(logprob, owners, seed)),
        arrays(np.float64, (queries, candidates), elements=finite),
        arrays(np.float64, (owners, free, candidates), elements=finite),
        arrays(np.float64, (owners, free, candidates), elements=finite),
        arrays(np.float64, (owners, 1, candidates), elements=finite),
        st.integers(0, 99),
    )


def from_the_pool(logprob: np.ndarray, owners: int, seed: int) -> dict[str, Any]:
    """What methods read that ask examples of the pool: an estimation set, and two anchors per label."""
    rng = np.random.default_rng(seed)
    queries, candidates = logprob.shape
    columns = np.tile(np.arange(candidates), (queries, 2))
    return {
        "estimation": rng.normal(size=(owners, 4 * candidates, candidates)),
        "channel": rng.normal(size=(queries, 1, candidates)),
        "divergence": Neighbours(rng.uniform(size=columns.shape), columns),
        "hidden": Neighbours(rng.uniform(size=logprob.shape), columns[:, :candidates]),
    }


def with_columns(scores: LabelScores, order: np.ndarray) -> LabelScores:
    """The same with the candidates in another order: column i is what column order[i] was."""
    place = np.argsort(order)
    near = {name: getattr(scores, name) for name in ("divergence", "hidden")}
    return replace(
        scores,
        logprob=scores.logprob[:, order],
        **{name: getattr(scores, name)[..., order] for name in ("content_free", "domain", "premise", "channel", "estimation")},
        **{name: Neighbours(of.distance, place[of.column]) for name, of in near.items()},
    )


def first_queries(scores: LabelScores, count: int) -> LabelScores:
    """The same of the first queries only."""
    cut = {f.name: value[:count] for f in fields(scores) if isinstance(value := getattr(scores, f.name), np.ndarray)}
    near = {name: getattr(scores, name) for name in ("divergence", "hidden")}
    return LabelScores(**cut, **{name: Neighbours(of.distance[:count], of.column[:count]) for name, of in near.items()})


any_scores = st.tuples(st.integers(1, 6), st.integers(2, 5), st.integers(1, 3), st.booleans()).flatmap(lambda shape: draw_scores(*shape))


def softmax(x: np.ndarray) -> np.ndarray:
    p = np.exp(x - x.max(axis=-1, keepdims=True))
    return p / p.sum(axis=-1, keepdims=True)


QUICK = [name for name in CALIBRATORS if name != "prototypical"]
"""Those that can be asked a hundred times in a second."""


@pytest.mark.parametrize("name", QUICK)
@settings(max_examples=60, deadline=None)
@given(scores=any_scores)
def test_every_calibrator_gives_distributions_and_ignores_a_shift_of_a_query(name, scores):
    check_distributions(name, scores)


def check_distributions(name: str, scores: LabelScores) -> None:
    calibrate = get_calibrator(name)
    out = calibrate(scores)
    assert out.shape == scores.logprob.shape
    assert out.dtype == np.float64
    np.testing.assert_allclose(np.exp(out).sum(axis=1), 1, atol=1e-9)
    shift = np.arange(len(out))[:, None] * 7.0  # a longer query has a lower likelihood throughout: that must not matter
    shifted = calibrate(replace(scores, logprob=scores.logprob - shift))
    np.testing.assert_allclose(shifted, out, atol=1e-9)


@pytest.mark.parametrize("name", QUICK)
@settings(max_examples=30, deadline=None)
@given(scores=any_scores, seed=st.integers(0, 99))
def test_every_calibrator_follows_a_permutation_of_the_candidates(name, scores, seed):
    order = np.random.default_rng(seed).permutation(scores.logprob.shape[1])
    np.testing.assert_allclose(get_calibrator(name)(with_columns(scores, order)), get_calibrator(name)(scores)[:, order], atol=1e-9)


@pytest.mark.parametrize("owners", [1, 3])
def test_prototypical_keeps_the_contract_too(owners: int) -> None:
    rng = np.random.default_rng(owners)
    logprob, free = rng.normal(size=(3, 4)), rng.normal(size=(owners, 2, 4))
    scores, order = LabelScores(logprob, free, free, free, **from_the_pool(logprob, owners, 5)), np.array([2, 0, 3, 1])
    check_distributions("prototypical", scores)
    out = get_calibrator("prototypical")(scores)
    np.testing.assert_allclose(get_calibrator("prototypical")(with_columns(scores, order)), out[:, order], rtol=1e-9)


@pytest.mark.parametrize("name", CALIBRATORS)
def test_transductive_says_whether_other_queries_matter(name):
    rng = np.random.default_rng(0)
    logprob, free = rng.normal(size=(6, 3)), rng.normal(size=(6, 2, 3))
    scores = LabelScores(logprob, free, free, free, **from_the_pool(logprob, 6, 0))
    whole, part = get_calibrator(name)(scores), get_calibrator(name)(first_queries(scores, 2))
    assert np.allclose(whole[:2], part) != get_calibrator(name).transductive


@pytest.mark.parametrize(("name", "needs"), [("contextual", "content_free"), ("domain-context", "domain")])
@given(prior=arrays(np.float64, (3, 4), elements=st.floats(-30, 0)))
@settings(max_examples=60, deadline=None)
def test_a_query_equal_to_the_mean_prior_becomes_uniform(name, needs, prior):
    query = np.log(softmax(prior).mean(axis=0, keepdims=True))
    out = get_calibrator(name)(LabelScores(query, **{needs: prior[None]}))
    np.testing.assert_allclose(np.exp(out), 0.25, atol=1e-9)


@pytest.mark.parametrize("name", ["batch", "batch-log"])
@given(row=arrays(np.float64, (1, 4), elements=st.floats(-300, 0)), queries=st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_identical_rows_become_uniform_under_batch_calibration(name, row, queries):
    out = get_calibrator(name)(LabelScores(np.repeat(row, queries, axis=0)))
    np.testing.assert_allclose(np.exp(out), 0.25, atol=1e-9)


def test_formulas_against_plain_probabilities():
    rng = np.random.default_rng(1)
    free, domain, premise, channel = (rng.normal(size=shape) for shape in ((5, 3, 3), (1, 4, 3), (5, 1, 3), (5, 1, 3)))
    scores = LabelScores(rng.normal(size=(5, 3)), free, domain, premise, channel=channel)
    p = softmax(scores.logprob)

    def check(name: str, quotient: np.ndarray) -> None:
        np.testing.assert_allclose(np.exp(get_calibrator(name)(scores)), quotient / quotient.sum(axis=1, keepdims=True), atol=1e-12)

    check("none", p)
    check("contextual", p / softmax(scores.content_free).mean(axis=1))
    check("domain-context", p / softmax(scores.domain).mean(axis=1))
    check("pmi", np.exp(scores.logprob - scores.premise[:, 0]))  # as the paper writes it, with raw scores
    check("channel", np.exp(scores.channel[:, 0]))
    check("batch", p / p.mean(axis=0))
    check("batch-log", p / np.exp(np.log(p).mean(axis=0)))


def test_prototypical_moves_the_boundary_between_the_clusters() -> None:
    """A model that always says the first label, in two clusters: posteriors of the mixture that each label's sample gives."""
    from scipy.stats import multivariate_normal

    rng = np.random.default_rng(2)
    first = np.concatenate([rng.uniform(0.70, 0.74, 30), rng.uniform(0.92, 0.96, 10)])
    known, queries = (np.stack([p, 1 - p], axis=1) for p in (first, np.array([0.73, 0.80, 0.95])))
    out = np.exp(get_calibrator("prototypical")(LabelScores(np.log(queries) - 3, estimation=np.log(known)[None])))
    cuts = known[30:], known[:30]  # of the first label, of the second
    density = [len(of) / 40 * multivariate_normal(of.mean(axis=0), np.cov(of.T, bias=True) + 1e-4 * np.eye(2)).pdf(queries) for of in cuts]
    np.testing.assert_allclose(out, (density / np.sum(density, axis=0)).T, atol=1e-6)
    assert out.argmax(axis=1).tolist() == [1, 1, 0]


def test_votes_of_the_nearest_anchors_by_hand() -> None:
    """Three labels. Query 0: two votes to one. Query 1: one each, the nearest decides. Query 2: two anchors in all, both of label 0."""
    distance = np.array([[0.1, 0.2, 0.3, 0.9], [0.5, 0.3, 0.9, 0.4], [0.1, 0.2, np.inf, np.inf]])
    column = np.array([[1, 0, 1, 0], [0, 1, 0, 2], [0, 0, 0, 0]])
    out = np.exp(get_calibrator("knn-prompting")(LabelScores(np.zeros((3, 3)), divergence=Neighbours(distance, column))))
    votes = np.array([[1, 2, 0], [1, 1, 1], [2, 0, 0]]) + 1 / 3
    np.testing.assert_allclose(out, votes / votes.sum(axis=1, keepdims=True), atol=1e-6)
    assert out[1].argmax() == 1


def test_the_nearest_centroid_by_hand() -> None:
    near = Neighbours(np.array([[2.0, 1.0], [0.5, 3.0]]), np.array([[1, 0], [1, 0]]))
    out = np.exp(get_calibrator("hidden")(LabelScores(np.zeros((2, 2)), hidden=near)))
    np.testing.assert_allclose(out, softmax(-np.array([[1.0, 2.0], [3.0, 0.5]])))


def test_distances_that_are_not_numbers_are_an_error() -> None:
    with pytest.raises(IclError, match="distances must be numbers"):
        Neighbours(np.array([[np.nan, 1.0]]), np.zeros((1, 2), dtype=np.int64))
    with pytest.raises(ValueError, match="neighbours must have 2 rows"):
        LabelScores(np.zeros((2, 2)), hidden=Neighbours(np.ones((1, 2)), np.zeros((1, 2), dtype=np.int64)))


def test_batch_and_batch_log_are_different_corrections():
    scores = LabelScores(np.log(np.array([[0.99, 0.01], [0.5, 0.5], [0.5, 0.5]])))
    assert not np.allclose(get_calibrator("batch")(scores), get_calibrator("batch-log")(scores), atol=1e-2)


def test_improbable_candidates_do_not_underflow():
    scores = LabelScores(np.array([[-2000.0, -1000.0], [-1000.0, -2000.0]]), np.array([[[-3000.0, -1000.0]]]))
    assert np.isfinite(get_calibrator("contextual")(scores)).all()
    assert np.isfinite(get_calibrator("batch")(scores)).all()


@pytest.mark.parametrize("name", ["none", "contextual", "domain-context", "pmi"])
def test_a_candidate_that_a_query_lacks_keeps_probability_zero(name):
    logprob = np.array([[-1.0, -2.0, -np.inf], [-1.0, -1.0, -1.0]])
    free = np.where(np.isneginf(logprob), -np.inf, -1.0)[:, None, :]
    out = np.exp(get_calibrator(name)(LabelScores(logprob, free, free, free)))
    assert out[0, 2] == 0
    np.testing.assert_allclose(out.sum(axis=1), 1)


@pytest.mark.parametrize("name", [name for name, calibrator in CALIBRATORS.items() if calibrator.needs])
def test_missing_prior_scores_are_an_error(name):
    with pytest.raises(IclError, match=f"--calibration {name}"):
        get_calibrator(name)(LabelScores(np.zeros((2, 2))))


def test_a_prior_of_zero_for_an_available_candidate_is_an_error():
    with pytest.raises(IclError, match="candidate 1 of query 0"):
        get_calibrator("contextual")(LabelScores(np.zeros((1, 2)), np.array([[[0.0, -np.inf]]])))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_not_numbers_are_an_error(bad):
    with pytest.raises(IclError, match="NaN or"):
        LabelScores(np.array([[bad, 0.0]]))
    with pytest.raises(IclError, match="content_free holds"):
        LabelScores(np.zeros((1, 2)), np.array([[[bad, 0.0]]]))


def test_a_row_without_any_score_and_wrong_shapes_are_errors():
    with pytest.raises(IclError, match="finite score"):
        LabelScores(np.full((1, 2), -np.inf))
    with pytest.raises(ValueError, match="n_query, n_candidate"):
        LabelScores(np.zeros(3))
    with pytest.raises(ValueError, match="content_free must have shape"):
        LabelScores(np.zeros((3, 2)), np.zeros((2, 1, 2)))


def test_names_and_needs_match_the_table_and_unknown_ones_are_refused():
    assert all(calibrator.name == name for name, calibrator in CALIBRATORS.items())
    needs = {"contextual": "content_free", "domain-context": "domain", "pmi": "premise"}
    needs |= {"channel": "channel", "prototypical": "estimation", "knn-prompting": "divergence", "hidden": "hidden"}
    assert {n: c.needs for n, c in CALIBRATORS.items() if c.needs} == needs
    assert {n for n, c in CALIBRATORS.items() if c.fixed_candidates} == set(CALIBRATORS) - {"none", "contextual", "domain-context", "pmi"}
    with pytest.raises(IclError, match="unknown calibration 'contextul': did you mean contextual"):
        get_calibrator("contextul")


def test_a_comparison_takes_those_that_read_scores_after_the_support_set_alone() -> None:
    for name, calibrator in CALIBRATORS.items():
        if calibrator.needs not in OF_LABELS:
            check_calibration(name)
            continue
        with pytest.raises(IclError, match=f"calibration '{name}' asks for examples beyond the support set, or for other prompts"):
            check_calibration(name)


def test_length_normalisation_divides_queries_and_priors_alike():
    """By hand: two candidates of one and of three tokens, 4 and 9 bytes (an ä has two)."""
    common = {"episode": "e", "query": "q", "target": "a", "answers": None}
    spans = [
        {"candidate": "a", "text": " abc", "tokens": 1, "logprob": -2.0},
        {"candidate": "b", "text": " ä bcdef", "tokens": 3, "logprob": -3.0},
    ]
    predictions = [{**common, **span} for span in spans]
    free = [{"episode": "e", "part": "content_free", "item": "0", "belongs_to": "", **span} for span in spans]
    for how, lengths in {"none": (1, 1), "token": (1, 3), "byte": (4, 9)}.items():
        scores = episode_scores(predictions, free, ("a", "b"), how)[0].scores
        expected = np.array([-2.0, -3.0]) / lengths
        np.testing.assert_allclose(scores.logprob[0], expected)
        np.testing.assert_allclose(scores.content_free[0, 0], expected)


def test_the_help_names_every_calibration_and_length():
    options = {option.name: option.help for option in get_command(app).commands["evaluate"].params}
    assert ", ".join(CALIBRATORS) in options["calibration"]
    assert all(name in options["normalise"] for name in LENGTHS)
