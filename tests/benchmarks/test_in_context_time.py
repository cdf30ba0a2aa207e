"""The benchmark of in-context learning inside a comparison: both sides score the same prompts. No time is asserted."""

from __future__ import annotations

from pathlib import Path

from benchmarks.in_context_time import lines, measure
from compare import ComparisonSpec


def test_both_sides_get_seconds_and_a_line(own_task: Path, tiny_model_dir: Path) -> None:
    spec = ComparisonSpec(str(own_task), ("in-context",), k_shot=(2,), episodes=2, queries=6, model=str(tiny_model_dir), dtype="float32")
    rounds = measure(spec, rounds=1)
    assert all(value > 0 for r in rounds for value in (r.compared, r.scored, r.evaluated))
    assert rounds[0].evaluated >= rounds[0].scored
    assert [line.split(" | ")[0] for line in lines(rounds, 2)[2:]] == [
        "| `in-context` in a comparison",
        "| `icl evaluate`, scoring",
        "| `icl evaluate`, planning and scoring",
    ]
