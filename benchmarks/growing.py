"""Growth: `icl evaluate` itself, asked more and more queries after the same demonstrations.

Every size is a process of its own with an empty score store, so that its seconds and its peak memory are its own. Planning, tables and
report are in that peak.
"""

from __future__ import annotations

import csv
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import say, turns
from benchmarks.peers import PeerFailed
from tasks import Example, IclError, keyed_rng
from tasks.load import load_task

SIZES = (100, 1_000, 10_000)
SHOTS = 16
TASKS = ("movie-sentiment", "product-sentiment", "editorial-sentiment", "tweet-sentiment")
"""No task has 10,000 test sentences; these ask the same of texts of the same kind."""
CARD = """\
name: growth
kind: classification
description: Sentences of four domains.
source: {type: files, paths: {shown: shown.csv, asked: asked.csv}}
splits: {demonstration: shown, test: asked}
inputs: [text]
target: label
labels: [negative, positive]
template: sentiment-plain
"""


@dataclass
class Size:
    """One number of queries."""

    queries: int
    tokens_unique: int = 0
    tokens_total: int = 0
    seconds: list[float] = field(default_factory=list)
    """Scoring, by round."""
    planning: list[float] = field(default_factory=list)
    """Waiting for the planner."""
    peak_bytes: int = 0


def measure_growth(model: str, dtype: str, rounds: int, scale: float, data_dir: Path | None, scratch: Path) -> list[Size]:
    """Seconds and peak memory by number of queries. Raises IclError when there are too few sentences."""
    sizes = [Size(max(2, round(count * scale))) for count in SIZES]
    card = write_task(sizes[-1].queries, data_dir, scratch)
    for number in range(rounds):
        for i in map(int, turns([str(i) for i in range(len(sizes))], number)):
            say(f"growth: round {number + 1} of {rounds}, {sizes[i].queries} queries")
            cost = _evaluate(card, sizes[i].queries, model, dtype, scratch / f"growth-{number}-{i}")
            sizes[i].tokens_unique, sizes[i].tokens_total = cost["tokens_unique"], cost["tokens_total"]
            sizes[i].seconds.append(cost["seconds"]["score"])
            sizes[i].planning.append(cost["seconds"]["plan"])
            sizes[i].peak_bytes = max(sizes[i].peak_bytes, cost["peak_memory_bytes"])
    return sizes


def write_task(count: int, data_dir: Path | None, scratch: Path) -> Path:
    """A card, and two files: the demonstrations of the first task, and shuffled sentences of all of them to ask."""
    tasks = [load_task(name, data_dir) for name in TASKS]
    shown = tasks[0].splits["demonstration"]
    asked = [e for t in tasks for role, rows in t.splits.items() if (t.name, role) != (TASKS[0], "demonstration") for e in rows]
    if len(asked) < count:
        raise IclError(f"growth needs {count} sentences to ask, but {', '.join(TASKS)} have {len(asked)}")
    order = keyed_rng(0, "benchmark", "growth").permutation(len(asked))
    _write(scratch / "shown.csv", list(shown))
    _write(scratch / "asked.csv", [asked[int(i)] for i in order])
    card = scratch / "growth.yaml"
    card.write_text(CARD, encoding="utf-8")
    return card


def _write(path: Path, rows: Sequence[Example]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        # Neutral sentences are called negative: only their length matters here.
        writer.writerows([row.inputs["text"], "positive" if row.target == "positive" else "negative"] for row in rows)


def _evaluate(card: Path, queries: int, model: str, dtype: str, scratch: Path) -> dict[str, Any]:
    options = ["--shots", str(SHOTS), "--episodes", "1", "--queries", str(queries), "--calibration", "none", "--dtype", dtype]
    code = "import sys; from icl.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "evaluate", str(card), "--model", model, *options, "--out", str(scratch), "--json"]
    environment = {**os.environ, "ICL_SCORE_STORE": str(scratch / "scores.sqlite")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise PeerFailed(f"icl evaluate ended with exit status {done.returncode}: {done.stderr.strip().splitlines()[-1:]}")
    cost: dict[str, Any] = json.loads(done.stdout)["cost"]
    return cost


def exponent(sizes: Sequence[Size]) -> float:
    """Slope of log seconds over log unique tokens: 1 is linear. Median of the slopes of the rounds."""
    tokens = np.log([size.tokens_unique for size in sizes])
    rounds = zip(*(size.seconds for size in sizes), strict=True)
    return statistics.median(float(np.polyfit(tokens, np.log(seconds), 1)[0]) for seconds in rounds)
