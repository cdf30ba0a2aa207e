"""Rounds of timed passes, the programs taking turns, and what is concluded from them.

Ratios are taken within a round, where the machine was in one state, and their median is reported; never the ratio of two medians.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.exchange import Workload, save
from benchmarks.peers import PEERS, PeerFailed, Process, Reply, batch_sizes, loop_batch
from icl.tree import TokenTree

OURS = "icl"
FLOOR = "floor"


@dataclass
class Outcome:
    """What one program did with one workload."""

    seconds: list[float] = field(default_factory=list)
    """By round, for the whole workload (extrapolated where `extrapolated` is above 1)."""
    extrapolated: float = 1.0
    """Tokens of the workload ÷ tokens of the part that was run."""
    queries: int = 0
    """How many were run."""
    difference: float | None = None
    """Largest difference to our score, per scored token; None for generation."""
    same: float | None = None
    """Share of queries with our answer (the likeliest candidate, or the same text)."""
    peak_bytes: int = 0
    details: dict[str, Any] = field(default_factory=dict)


@dataclass
class Measured:
    """A workload and its outcomes, by program."""

    workload: Workload
    tokens_unique: int
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    dense: list[float] = field(default_factory=list)
    """Best dense tokens per second of each round."""
    work: dict[str, int] = field(default_factory=dict)
    """What our engine counted."""

    def ratio(self, program: str, to: str) -> float | None:
        """Median over the rounds of seconds(program) ÷ seconds(to); None when one of them did not run."""
        if program not in self.outcomes or to not in self.outcomes:
            return None
        pairs = zip(self.outcomes[program].seconds, self.outcomes[to].seconds, strict=False)
        return statistics.median(a / b for a, b in pairs)

    def against_dense(self) -> float | None:
        """Our seconds ÷ (unique tokens ÷ best dense throughput), median over the rounds."""
        if not self.dense or self.workload.generates:
            return None
        return statistics.median(s / (self.tokens_unique / rate) for s, rate in zip(self.outcomes[OURS].seconds, self.dense, strict=False))


def measure(
    workload: Workload, running: dict[str, Process], rounds: int, vocabulary: int, scratch: Path, batches: Sequence[int] = ()
) -> tuple[Measured, dict[str, str]]:
    """`rounds` passes of every program. One that fails is taken out of `running`, and why is returned; ours failing is an error."""
    tree = TokenTree.build(inputs(workload))
    measured = Measured(workload, len(tree))
    parts = {name: part_for(name, workload) for name in running}
    files = {name: save(part, scratch / f"{workload.name}-{len(part.sequences)}.npz") for name, part in parts.items()}
    options = {
        "batch": loop_batch(workload, vocabulary),
        "batches": list(batches) or batch_sizes(workload, vocabulary),
        "mean_path": max(1, round(float(np.mean(tree.depth)) + 1)),
        "together": len(workload.sequences) if workload.generates else 0,
        "dense": True,
    }
    failed: dict[str, str] = {}
    for number in range(rounds):
        replies: dict[str, Reply] = {}
        for name in turns(list(running), number):
            say(f"{workload.name}: round {number + 1} of {rounds}, {name}")
            try:
                replies[name] = running[name].ask({**options, "workload": str(files[name])})
            except PeerFailed as problem:
                if name == OURS:
                    raise
                say(f"{problem}; it is left out from here on")
                failed[name] = str(problem)
                running.pop(name).close()
                measured.outcomes.pop(name, None)
        ours = replies[OURS]
        measured.work = ours["work"]
        for name, reply in replies.items():
            note(measured, name, parts[name], reply, ours)
    return measured, failed


def note(measured: Measured, name: str, part: Workload, reply: Reply, ours: Reply) -> None:
    """Adds one pass of one program."""
    outcome = measured.outcomes.setdefault(name, Outcome(queries=len(part.contexts)))
    outcome.peak_bytes = max(outcome.peak_bytes, reply["peak_bytes"])
    if name == FLOOR:
        outcome.seconds.append(floor_seconds(measured.workload, measured.tokens_unique, ours["work"], reply["rates"]))
        outcome.details = {"rates": reply["rates"]}
        return
    outcome.extrapolated = measured.workload.tokens_total / part.tokens_total
    outcome.seconds.append(reply["seconds"] * outcome.extrapolated)
    outcome.details = {key: reply[key] for key in ("batch", "same_tokens", "requests") if key in reply}
    if "dense" in reply:
        measured.dense.append(max(reply["dense"].values()))
        outcome.details["dense"] = reply["dense"]
    if name != OURS:
        outcome.difference, outcome.same = agreement(part, ours, reply)


def floor_seconds(workload: Workload, tokens_unique: int, work: Mapping[str, int], rates: Mapping[str, float]) -> float:
    """Products of the distinct tokens (and of the written ones) at the rates measured."""
    read = tokens_unique * rates["per_token"] + work["attended"] * rates["per_pair"]
    rows = work["scored_rows"]  # while writing, one row of the head per token written
    if not workload.generates:
        return read + rows * rates["per_head_row"]
    # The first token comes out of the prompt's own pass, the others have each to be read.
    again = max(0, rows - len(workload.sequences))
    return read + again * rates["per_token_written"] + rows * rates["per_head_row_written"]


def agreement(part: Workload, ours: Reply, theirs: Reply) -> tuple[float | None, float]:
    """Largest difference per scored token, and the share of queries with the same answer."""
    count = len(part.sequences)
    if part.generates:
        same = [a.strip() == b.strip() for a, b in zip(ours["texts"][:count], theirs["texts"], strict=True)]
        return None, float(np.mean(same))
    a, b = np.asarray(ours["sums"][:count]), np.asarray(theirs["sums"])
    tokens = np.asarray([len(s) - f for s, f in zip(part.sequences, part.scored_from, strict=True)])
    query = np.asarray(part.query)
    same = [bool(a[query == q].argmax() == b[query == q].argmax()) for q in range(len(part.contexts))]
    return float(np.max(np.abs(a - b) / tokens)), float(np.mean(same))


def part_for(name: str, workload: Workload) -> Workload:
    """The queries that a program is run on."""
    if PEERS[name].pays_for_all and workload.slow_queries is not None:
        return workload.first(workload.slow_queries)
    return workload


def inputs(workload: Workload) -> list[tuple[int, ...]]:
    """What has to go through the model: a scored last token is only ever a target."""
    return [ids if workload.generates else ids[:-1] for ids in workload.sequences]


def turns(names: list[str], number: int) -> list[str]:
    """Another one begins in every round."""
    first = number % len(names)
    return names[first:] + names[:first]


def say(text: str) -> None:
    """A line of progress."""
    print(f"benchmarks: {text}", file=sys.stderr, flush=True)
