"""Ranks with ties."""

from __future__ import annotations

from compare.ranks import average_ranks, ranks

CLEAR = {"a": [0.9, 0.91, 0.92], "b": [0.5, 0.51, 0.52], "c": [0.1, 0.11, 0.12]}


def test_learners_that_are_told_apart_have_ranks_of_their_own() -> None:
    assert ranks({name: CLEAR[name] for name in "cab"}) == {"c": 3, "a": 1, "b": 2}


def test_learners_that_are_not_told_apart_share_the_mean_of_their_places() -> None:
    noisy = [0.8, 0.99, 0.94]  # a mean of 0.91, as `a`
    assert ranks({**CLEAR, "d": noisy}) == {"a": 1.5, "b": 3, "c": 4, "d": 1.5}
    assert ranks({"a": [0.5], "b": [0.1]}) == {"a": 1.5, "b": 1.5}, "one episode tells nobody apart"


def test_a_tie_is_with_the_leader_and_no_chain_of_ties() -> None:
    # b is tied with a, c with b but not with a: c follows.
    values = {"a": [0.50, 0.52, 0.51, 0.53], "b": [0.45, 0.55, 0.44, 0.54], "c": [0.47, 0.49, 0.48, 0.50]}
    assert ranks(values) == {"a": 1.5, "b": 1.5, "c": 3}


def test_the_average_is_over_sources() -> None:
    other = {"a": CLEAR["c"], "b": CLEAR["b"], "c": CLEAR["a"]}
    assert average_ranks({"x": CLEAR, "y": other}) == {"a": 2, "b": 2, "c": 2}
    assert average_ranks({}) == {}
