"""Growth: the same prompts with more and more queries. Every size has a process of its own, so that its peak memory is its own."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.exchange import Workload, save
from benchmarks.measure import OURS, inputs, say, turns
from benchmarks.peers import Process
from icl.tree import TokenTree


@dataclass
class Size:
    """One number of queries."""

    queries: int
    tokens_unique: int
    tokens_total: int
    seconds: list[float] = field(default_factory=list)
    peak_bytes: int = 0
    ready_bytes: int = 0
    """Peak before the first timed pass: the model, the requests, the warm-up."""


def measure_growth(workloads: Sequence[Workload], model: str, dtype: str, rounds: int, scratch: Path) -> list[Size]:
    """Our seconds and peak memory by number of queries."""
    sizes = [Size(len(w.contexts), len(TokenTree.build(inputs(w))), w.tokens_total) for w in workloads]
    files = [save(w, scratch / f"{w.name}.npz") for w in workloads]
    with ExitStack() as stack:
        running = [stack.enter_context(Process(OURS, model, dtype)) for _ in sizes]
        for number in range(rounds):
            for i in map(int, turns([str(i) for i in range(len(sizes))], number)):
                say(f"growth: round {number + 1} of {rounds}, {sizes[i].queries} queries")
                reply = running[i].ask({"workload": str(files[i])})
                sizes[i].ready_bytes = sizes[i].ready_bytes or reply["peak_bytes_before"]
                sizes[i].seconds.append(reply["seconds"])
                sizes[i].peak_bytes = max(sizes[i].peak_bytes, reply["peak_bytes"])
    return sizes


def exponent(sizes: Sequence[Size]) -> float:
    """Slope of log seconds over log unique tokens: 1 is linear. Median of the slopes of the rounds."""
    tokens = np.log([size.tokens_unique for size in sizes])
    rounds = zip(*(size.seconds for size in sizes), strict=True)
    return statistics.median(float(np.polyfit(tokens, np.log(seconds), 1)[0]) for seconds in rounds)
