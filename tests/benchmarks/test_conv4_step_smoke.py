"""The benchmark of a meta-step on conv4: all programs take the same outer step. No time is asserted."""

from __future__ import annotations

import pytest

from benchmarks import conv4_step


def test_all_programs_take_the_same_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conv4_step, "FILTERS", 4)
    measured = conv4_step.measure(2, 3, conv4_step.tasks(2, 3, 1, 2), rounds=1, repeats=1)  # raises when a program does not agree
    assert list(measured) == ["ours, traced", "ours", "clones"]
    assert all(len(values) == 1 and values[0] > 0 for values in measured.values())
