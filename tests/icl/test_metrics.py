"""Metrics against scikit-learn (weights included), the tie rule, SQuAD normalisation, and influences against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from icl.metrics import METRICS, GenerationOutcome, Outcome, ece, expected_if_perfect, get_metric, normalise_text, predict, reliability
from tasks.errors import IclError

LABELS = ("a", "b", "c", "d", "e")


def outcome(seed: int, n: int = 60, size: int = 4, labels: bool = True) -> Outcome:
    """Random outcome whose last label neither occurs as target nor is ever predicted."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, size))
    logits[:, -1] = -30
    target = rng.choice(size - 1, n, p=[0.6, 0.3, 0.1])
    logits[np.arange(n), target] += 1
    log_probs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return Outcome(log_probs, target, tuple(f"q{i}" for i in range(n)), LABELS[:size] if labels else None)


def reference(o: Outcome, weights: np.ndarray) -> dict[str, float]:
    true, predicted, probs = o.target, o.log_probs.argmax(axis=1), np.exp(o.log_probs)
    share = [np.bincount(x, weights=weights, minlength=4) / weights.sum() for x in (predicted, true)]
    return {
        "accuracy": sk.accuracy_score(true, predicted, sample_weight=weights),
        "macro_f1": sk.f1_score(true, predicted, average="macro", sample_weight=weights, zero_division=0),
        "mcc": sk.matthews_corrcoef(true, predicted, sample_weight=weights),
        "nll": sk.log_loss(true, probs, labels=range(4), sample_weight=weights),
        "label_bias": 0.5 * np.abs(share[0] - share[1]).sum(),
    }


@pytest.mark.parametrize("seed", range(4))
def test_metrics_equal_scikit_learn_with_and_without_weights(seed):
    o = outcome(seed)
    weights = np.random.default_rng(seed).exponential(size=(3, 60))
    for name, value in reference(o, np.ones(60)).items():
        assert float(METRICS[name](o)) == pytest.approx(value, abs=1e-9), name
        many = METRICS[name](o, weights)
        assert many.shape == (3,)
        np.testing.assert_allclose(many, [reference(o, w)[name] for w in weights], atol=1e-9, err_msg=name)


@pytest.mark.parametrize("name", ["accuracy", "macro_f1", "mcc", "nll", "label_bias", "ece"])
def test_an_integer_weight_is_a_repeated_query(name):
    o = outcome(5)
    counts = np.random.default_rng(0).integers(1, 4, 60)
    index = np.repeat(np.arange(60), counts)
    repeated = Outcome(o.log_probs[index], o.target[index], tuple(f"{i}" for i in range(len(index))), o.candidates)
    assert float(METRICS[name](o, counts.astype(float))) == pytest.approx(float(METRICS[name](repeated)), abs=1e-12)


@pytest.mark.parametrize("name", ["accuracy", "macro_f1", "mcc", "nll", "label_bias", "ece"])
def test_influence_is_the_derivative_with_respect_to_each_weight(name):
    o, step = outcome(6, n=40), 1e-5
    moved = [METRICS[name](o, np.ones((40, 40)) + sign * step * np.eye(40)) for sign in (1, -1)]
    np.testing.assert_allclose(METRICS[name].influence(o), (moved[0] - moved[1]) / (2 * step), atol=1e-7)
    assert METRICS[name].influence(o).sum() == pytest.approx(0, abs=1e-7)


def test_mcc_is_0_where_undefined_also_with_fractional_weights():
    log_probs = np.log(np.tile([0.9, 0.1], (7, 1)))
    o = Outcome(log_probs, np.array([0, 0, 0, 1, 1, 0, 1]), tuple("abcdefg"), ("x", "y"))
    assert float(METRICS["mcc"](o)) == 0 == sk.matthews_corrcoef(o.target, o.predicted)
    assert (METRICS["mcc"](o, np.random.default_rng(0).exponential(size=(50, 7))) == 0).all()


def test_macro_f1_counts_a_label_that_is_predicted_but_never_true():
    o = Outcome(np.log([[0.1, 0.8, 0.1], [0.8, 0.1, 0.1]]), np.array([0, 0]), ("q", "r"), ("x", "y", "z"))
    assert float(METRICS["macro_f1"](o)) == pytest.approx((2 / 3 + 0) / 2)


def test_ties_are_broken_by_query_evenly_and_the_same_each_time():
    ids = [f"q{i}" for i in range(3000)]
    log_probs = np.log(np.tile([0.3, 0.3, 0.1, 0.3], (3000, 1)))
    chosen = predict(log_probs, ids)
    share = np.bincount(chosen, minlength=4) / 3000
    assert share[2] == 0
    assert np.abs(share[[0, 1, 3]] - 1 / 3).max() < 0.03
    order = np.random.default_rng(0).permutation(3000)
    np.testing.assert_array_equal(predict(log_probs[order], [ids[i] for i in order]), chosen[order])
    np.testing.assert_array_equal(predict(log_probs + 1e-13 * np.arange(4), ids), chosen)  # rounding does not decide a tie


def test_a_clear_winner_is_not_touched_by_the_tie_rule():
    log_probs = np.log(np.tile([0.3, 0.3, 0.4], (50, 1)))
    assert (predict(log_probs, [str(i) for i in range(50)]) == 2).all()
    assert predict(np.array([[-1.0, -1.0 - 1e-6]]), ["q"])[0] == 0
    assert predict(np.array([[-5.0, -np.inf]]), ["q"])[0] == 0


def test_ece_by_hand_and_its_bins():
    confidence = np.array([0.3, 0.30001, 0.95, 1.0, 0.0])
    correct = np.array([0.0, 1.0, 1.0, 1.0, 0.0])
    # bins (0.2, 0.3], (0.3, 0.4], (0.9, 1.0] twice, and 0 in the first
    assert ece(confidence, correct) == pytest.approx((0.3 + 0.69999 + 0.05 + 0.0) / 5)
    bins = reliability(confidence, correct)
    assert bins.count.tolist() == [1, 0, 1, 1, 0, 0, 0, 0, 0, 2]
    assert bins.accuracy[9] == 1.0
    assert bins.confidence[9] == pytest.approx(0.975)
    assert np.isnan(bins.accuracy[1])


def test_ece_bias_is_what_a_perfect_model_shows_and_shrinks_with_queries():
    rng = np.random.default_rng(3)
    confidence = rng.uniform(0.5, 1, 100)
    shown = np.mean([ece(confidence, (rng.random(100) < confidence).astype(float)) for _ in range(400)])
    assert expected_if_perfect(confidence) == pytest.approx(shown, abs=0.006)
    assert expected_if_perfect(np.tile(confidence, 100)) < 0.2 * expected_if_perfect(confidence)
    assert expected_if_perfect(confidence) == expected_if_perfect(confidence)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("The  Eiffel-Tower, a\ttower!", "eiffeltower tower"),
        ("An answer.", "answer"),
        ("theatre", "theatre"),
        ("$1,234.50", "1234.50"),
        ("-5", "-5"),
        ("(-5)", "-5"),
        ("3-5", "35"),
        ("v1. End.", "v1 end"),
        ("1,2,3", "123"),
    ],
)
def test_answers_are_normalised(text, plain):
    assert normalise_text(text) == plain


def test_exact_match_and_token_f1_take_the_best_accepted_answer():
    o = GenerationOutcome(("The cat", "a red car", "", "3.5"), (("dog", "cat"), ("red bus", "blue"), ("the",), ("35",)), tuple("pqrs"))
    assert METRICS["exact_match"](o, np.eye(4)).tolist() == [1, 0, 1, 0]
    np.testing.assert_allclose(METRICS["token_f1"](o, np.eye(4)), [1, 0.5, 1, 0])
    assert float(METRICS["token_f1"](o)) == pytest.approx(2.5 / 4)


def test_token_f1_counts_repeated_words_once_each():
    o = GenerationOutcome(("new new york",), (("new york city",),), ("q",))
    assert float(METRICS["token_f1"](o)) == pytest.approx(2 * 2 / 6)


def test_what_applies_to_what():
    fixed, free = outcome(0), outcome(0, labels=False)
    text = GenerationOutcome(("x",), (("x",),), ("q",))
    assert {n for n, m in METRICS.items() if m.applies(fixed)} == {"accuracy", "macro_f1", "mcc", "nll", "ece", "label_bias"}
    assert {n for n, m in METRICS.items() if m.applies(free)} == {"accuracy", "nll", "ece"}
    assert {n for n, m in METRICS.items() if m.applies(text)} == {"exact_match", "token_f1"}
    assert {n for n, m in METRICS.items() if m.needs_labels} == {"macro_f1", "mcc", "label_bias"}
    assert {n for n, m in METRICS.items() if not m.higher_is_better} == {"nll", "ece", "label_bias"}
    assert all(m.name == n for n, m in METRICS.items())


def test_malformed_outcomes_and_unknown_metrics_are_refused():
    log_probs, ids = np.log(np.full((2, 2), 0.5)), ("q", "r")
    with pytest.raises(ValueError, match="must agree"):
        Outcome(log_probs, np.array([0]), ids)
    with pytest.raises(ValueError, match="0 <= target < 2"):
        Outcome(log_probs, np.array([0, 2]), ids)
    with pytest.raises(ValueError, match="as many candidates"):
        Outcome(log_probs, np.array([0, 1]), ids, ("x",))
    with pytest.raises(ValueError, match="unique"):
        Outcome(log_probs, np.array([0, 1]), ("q", "q"))
    with pytest.raises(ValueError, match="accepted answer"):
        GenerationOutcome(("x",), ((),), ("q",))
    with pytest.raises(IclError, match="unknown metric 'acuracy': did you mean accuracy"):
        get_metric("acuracy")
