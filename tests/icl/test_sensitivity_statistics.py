"""Components of variance on simulated data with known components, and biases on made-up predictions with known answers."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from icl.sensitivity.bias import measure_bias
from icl.sensitivity.components import FACTORS, INTERACTIONS, Design, decompose
from icl.sensitivity.design import Context
from icl.sensitivity.orders import order_spread
from tasks import Example

SHAPE = (6, 2, 4, 2, 2)
TRUE = {"draw": 0.08, "order": 0.03, "template": 0.06, "format": 0.04, "words": 0.02, "draw_wording": 0.04, "order_wording": 0.03}
"""Standard deviations."""


def simulated(rng: np.random.Generator, queries: int = 20, noise: float = 0.0) -> NDArray[np.float64]:
    """Normal effects of the sizes above; `noise` is how each cell acts on each query."""
    d, o, t, f, w = SHAPE
    sizes = {
        "draw": (d, 1, 1, 1, 1),
        "order": (d, o, 1, 1, 1),
        "template": (1, 1, t, 1, 1),
        "format": (1, 1, t, f, 1),
        "words": (1, 1, t, f, w),
    }
    y = 0.6 + sum(TRUE[name] * rng.standard_normal(size) for name, size in sizes.items())
    y = y + TRUE["draw_wording"] * rng.standard_normal((d, 1, t, f, 1)) + TRUE["order_wording"] * rng.standard_normal(SHAPE)
    return y[..., None] + 0.3 * rng.standard_normal(queries) + noise * rng.standard_normal((*SHAPE, queries))


def test_a_two_way_table_agrees_with_the_textbook() -> None:
    rng = np.random.default_rng(0)
    y = rng.standard_normal((5, 1, 3, 1, 1))
    table = y[:, 0, :, 0, 0]
    rows, columns = table.mean(1, keepdims=True), table.mean(0, keepdims=True)
    ms_rows = 3 * ((rows - table.mean()) ** 2).sum() / 4
    ms_columns = 5 * ((columns - table.mean()) ** 2).sum() / 2
    ms_rest = ((table - rows - columns + table.mean()) ** 2).sum() / 8
    design = Design(y.shape)
    assert [design.freedom(term) for term in design.terms] == [2, 4, 8]
    found = dict(zip(design.terms, design.solve(design.squares(y)), strict=True))
    assert found == pytest.approx({(0, 1): (ms_columns - ms_rest) / 5, (1, 0): (ms_rows - ms_rest) / 3, (1, 1): ms_rest})


def test_a_nested_table_agrees_with_the_textbook() -> None:
    y = np.random.default_rng(1).standard_normal((4, 3, 1, 1, 1))
    of_draws = y.reshape(4, 3)
    within = ((of_draws - of_draws.mean(1, keepdims=True)) ** 2).sum() / 8
    between = 3 * ((of_draws.mean(1) - of_draws.mean()) ** 2).sum() / 3
    design = Design(y.shape)
    assert dict(zip(design.terms, design.solve(design.squares(y)), strict=True)) == pytest.approx(
        {(1, 0): (between - within) / 3, (2, 0): within}
    )


def test_components_are_found_and_their_intervals_cover() -> None:
    """150 data sets; the standard error of a coverage of 95 % is 1.8 points."""
    rng, sets = np.random.default_rng(7), 150
    truth = {name: sd**2 for name, sd in TRUE.items()}
    total = sum(truth.values())
    hits = dict.fromkeys([*truth, *(f"share of {name}" for name in truth), "total"], 0)
    sums = dict.fromkeys(truth, 0.0)
    for number in range(sets):
        of = decompose(simulated(rng, queries=3), str(number))
        assert sum(c.share or 0 for c in of.components) == pytest.approx(1)
        hits["total"] += of.sd_ci95[0] <= total**0.5 <= of.sd_ci95[1]
        for c in of.components:
            assert c.share_ci95 is not None
            hits[c.name] += c.sd_ci95[0] <= TRUE[c.name] <= c.sd_ci95[1]
            hits[f"share of {c.name}"] += c.share_ci95[0] <= truth[c.name] / total <= c.share_ci95[1]
            sums[c.name] += c.variance / sets
    assert all(0.90 <= hit / sets <= 1 for hit in hits.values()), hits
    assert {name: value / truth[name] for name, value in sums.items()} == pytest.approx(dict.fromkeys(truth, 1), abs=0.35)


def test_what_few_queries_add_is_taken_out() -> None:
    rng = np.random.default_rng(3)
    total = sum(sd**2 for sd in TRUE.values())
    found = [decompose(simulated(rng, queries=10, noise=0.4), str(i)) for i in range(60)]
    assert np.mean([of.sd**2 for of in found]) == pytest.approx(total + 0.4**2 / 10, rel=0.2)
    assert np.mean([of.sd_with_all_queries**2 for of in found]) == pytest.approx(total, rel=0.2)
    # One prompt's queries: 0.3 of their own and 0.4 of prompt and query together.
    assert np.mean([of.query_se for of in found]) == pytest.approx((0.5**2 / 10) ** 0.5, rel=0.1)


def test_factors_of_one_level_are_left_out_and_nothing_varying_has_no_shares() -> None:
    rng = np.random.default_rng(2)
    of = decompose(rng.standard_normal((3, 1, 2, 1, 1, 6)), "x")
    assert [c.name for c in of.components] == ["draw", "template", "draw_wording"]
    same = decompose(np.tile(rng.integers(0, 2, 6).astype(float), (*SHAPE, 1)), "x")
    assert [c.name for c in same.components] == [*FACTORS, *INTERACTIONS]
    assert {c.share for c in same.components} == {None}
    assert same.sd == 0
    rounding = 1e-16 * rng.standard_normal((*SHAPE, 6)) + 0.7
    assert {c.share for c in decompose(rounding, "x").components} == {None}


LABELS = ("no", "yes")


def contexts(*shown: str) -> list[Context]:
    """Each a draw with one order, of demonstrations with these labels; text i is `word<i>`."""
    made = []
    for draw, labels in enumerate(shown):
        examples = tuple(Example(f"d{draw}.{i}", {"text": f"word{i}"}, LABELS[int(label)]) for i, label in enumerate(labels))
        made.append(Context(draw, 0, tuple(range(len(labels))), examples))
    return made


def test_recency_is_what_the_last_label_adds() -> None:
    of = contexts("0001", "1110", "0110")
    queries = [Example(f"q{i}", {"text": "x"}, LABELS[i % 2]) for i in range(6)]
    last = np.array([1, 0, 0])
    copies_last = np.broadcast_to(last[:, None, None, None], (3, 1, 2, 6))
    bias = measure_bias(copies_last, of, queries, LABELS)
    # Predictions are all the last label, which is 1/4, 1/4 and 1/2 of the demonstrations.
    assert bias.positions[-1].value == pytest.approx((0.75 + 0.75 + 0.5) / 3)
    always = measure_bias(np.ones((3, 1, 2, 6), dtype=np.int64), of, queries, LABELS)
    assert sum(effect.value for effect in always.positions) == pytest.approx(0)


def test_majority_compares_with_the_other_draws() -> None:
    of = contexts("0001", "1110", "0110")
    queries = [Example(f"q{i}", {"text": "x"}, LABELS[i % 2]) for i in range(6)]
    majority = np.broadcast_to(np.array([0, 1, 0])[:, None, None, None], (3, 1, 1, 6))
    effect = measure_bias(majority, of, queries, LABELS).majority
    assert effect is not None
    assert effect.draws == 2, "one of the draws has no single most frequent label"
    # Draw 0 predicts 0 always, the others in half; draw 1 predicts 1 always, the others never.
    assert effect.value == pytest.approx((0.5 + 1.0) / 2)
    always = measure_bias(np.zeros((3, 1, 1, 6), dtype=np.int64), of, queries, LABELS).majority
    assert always is not None
    assert always.value == 0


def test_copying_is_beyond_what_the_right_answer_explains() -> None:
    of = contexts("01", "01")
    texts = ["word0 a", "word1 b", "word0 c", "word1 d", "none e", "none f"]
    queries = [Example(f"q{i}", {"text": text}, LABELS[i // 2 % 2]) for i, text in enumerate(texts)]
    nearest = np.array([0, 1, 0, 1, 0, 0])
    copied = measure_bias(np.broadcast_to(nearest, (2, 1, 1, 6)), of, queries, LABELS).copying
    assert copied is not None
    assert copied.value > 0.5
    target = np.array([LABELS.index(q.target) for q in queries])
    perfect = measure_bias(np.broadcast_to(target, (2, 1, 1, 6)), of, queries, LABELS).copying
    assert perfect is not None
    assert perfect.value == 0, "a model that is always right copies nothing"


def test_spread_over_orders_is_within_draws() -> None:
    accuracy = np.zeros((2, 3, 1, 1, 1))
    accuracy[0, :, 0, 0, 0], accuracy[1, :, 0, 0, 0] = [0.5, 0.6, 0.7], [0.9, 0.9, 0.9]
    of = order_spread(accuracy)
    assert of is not None
    assert (of.spread, of.largest) == pytest.approx((0.1, 0.2))
    assert order_spread(accuracy[:, :1]) is None
