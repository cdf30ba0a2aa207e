"""How a worker talks to the benchmark: one JSON object per line in, one per line out. Standard library and numpy only.

The first line is {"model": directory, "dtype": name}; every other is {"workload": file, ...options} and asks for one timed pass. What
libraries print goes to standard error. A worker that fails just ends: its parent shows the last words of its standard error.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from benchmarks.exchange import Workload, load

WARM_SEQUENCES = 4
Reply = dict[str, Any]


class Worker(Protocol):
    """One program, its model loaded."""

    def prepare(self, workload: Workload, options: dict[str, Any]) -> None:
        """Called once per workload, untimed: warming up, finding the best batch size."""
        ...

    def run(self, workload: Workload, options: dict[str, Any]) -> Reply:
        """One timed pass: `seconds`, and `sums` (a log-probability per sequence) or `texts`."""
        ...

    def facts(self) -> Reply:
        """What the table says about the program: versions, threads."""
        ...


def serve(make: Callable[[str, str], Worker]) -> None:
    """Answers until standard input ends. `make` takes the model's directory and the name of a dtype."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def answer(reply: Reply) -> None:
        print(json.dumps(reply), file=answers, flush=True)

    first = json.loads(sys.stdin.readline())
    worker = make(first["model"], first["dtype"])
    answer(worker.facts())
    path, workload = "", None
    for line in sys.stdin:
        options = json.loads(line)
        if workload is None or options["workload"] != path:
            path, workload = options["workload"], load(Path(options["workload"]))
            worker.prepare(workload, options)
        before = peak_bytes()
        reply = worker.run(workload, options)
        answer({"peak_bytes_before": before, "peak_bytes": peak_bytes(), **reply})


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of wall clock, and what the call returned."""
    start = time.perf_counter()
    value = call()
    return time.perf_counter() - start, value


def peak_bytes() -> int:
    """Largest resident set of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def facts(*packages: str) -> Reply:
    """Versions of the packages, and torch's threads."""
    import torch

    versions = {name: importlib.metadata.version(name) for name in ("torch", "transformers", *packages)}
    return {"versions": versions, "torch_threads": torch.get_num_threads()}
