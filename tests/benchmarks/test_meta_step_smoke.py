"""The meta-step benchmark: all programs take the same outer step. No time is asserted."""

from __future__ import annotations

from benchmarks.meta_step import lines, measure


def test_all_programs_take_the_same_step_and_get_a_line() -> None:
    measured = measure(2, rounds=1, repeats=1)  # raises when a program does not agree
    table = lines(2, measured)
    assert [line.split(" | ")[1] for line in table] == ["ours, traced", "ours", "higher", "clones"]
    assert all(len(values) == 1 and values[0] > 0 for values in measured.values())
