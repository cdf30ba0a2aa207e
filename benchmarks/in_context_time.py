"""In-context learning inside a comparison against `icl evaluate` on the same prompts: `python benchmarks/in_context_time.py`.

A round is one comparison with `in-context` alone, then one evaluation of its episodes file with the whole support shown: the same
demonstrations (in another order) and queries. Nothing comes from the score store. Loading, metrics and reports are in neither figure.
Seconds are wall clock, so only ratios within a round count, and of them the median.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path

from compare import ComparisonSpec
from compare.run import compare
from icl import RunSpec, evaluate
from icl.shared import Shared


@dataclass(frozen=True)
class Round:
    """Seconds of all episodes together."""

    compared: float
    """Adapting and predicting of `in-context`."""
    scored: float
    """Phase `score` of the evaluation: the engine's own time, and keeping what it gave."""
    evaluated: float
    """Phases `plan` and `score`: prompts and tokens are made in the first."""


def measure(spec: ComparisonSpec, rounds: int, data_dir: Path | None = None) -> list[Round]:
    """So many rounds, in turn."""
    shared, found = Shared(), []
    with tempfile.TemporaryDirectory() as scratch:
        for _ in range(rounds):
            run = compare(spec, out=scratch, data_dir=data_dir, fresh=True)
            (row,) = run.read("cost")["rows"]
            compared = spec.episodes * (row["seconds"]["adapt"] + spec.queries * row["seconds"]["per_query"])
            (k,) = spec.k_shot
            labels = len(run.read("environment")["run"]["labels"])
            same = RunSpec(
                spec.task, spec.model, shots=k * labels, calibration=("none",), dtype=spec.dtype, device=spec.device, queries=spec.queries
            )
            evaluation = evaluate(same, out=scratch, data_dir=data_dir, episodes=run.dir / "episodes.jsonl", fresh=True, shared=shared)
            seconds = evaluation.cost["seconds"]
            found.append(Round(compared, seconds["score"], seconds["score"] + seconds["plan"]))
    return found


def lines(rounds: list[Round], episodes: int) -> list[str]:
    """A Markdown table: medians per episode, and medians of the ratios within rounds."""
    rows = {
        "`in-context` in a comparison": (lambda r: r.compared),
        "`icl evaluate`, scoring": (lambda r: r.scored),
        "`icl evaluate`, planning and scoring": (lambda r: r.evaluated),
    }
    out = ["| | seconds per episode | in-context in a comparison to it |", "|---|---|---|"]
    for name, of in rows.items():
        ratio = statistics.median(r.compared / of(r) for r in rounds)
        out.append(f"| {name} | {statistics.median(of(r) for r in rounds) / episodes:.2f} | {ratio:.2f} |")
    return out


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", default="movie-sentiment")
    parser.add_argument("--k-shot", type=int, default=8, help="per label")
    parser.add_argument("--episodes", type=int, default=3)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data-dir", type=Path)
    given = parser.parse_args()
    spec = ComparisonSpec(given.task, ("in-context",), k_shot=(given.k_shot,), episodes=given.episodes, queries=given.queries)
    print("\n".join(lines(measure(spec, given.rounds, given.data_dir), given.episodes)))


if __name__ == "__main__":
    main()
