"""The programs that are measured, each in a process of its own that waits while another computes."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from typing import Any, Literal

from benchmarks.environments import REPOSITORY, EnvironmentUnavailable, environment_python
from benchmarks.exchange import Workload

Reply = dict[str, Any]
LOGITS_BYTES = 6
"""Per logit of a padded batch: bf16, and a float32 copy."""
LOGITS_BUDGET = 7_000_000_000
LOOP_BATCH = 16
LM_EVAL_BATCHES = (1, 4, 8, 16, 32, 64)
LM_EVAL_WRITING = (8, 16, 32)
"""Trying smaller ones takes long, and they are slower: a step of writing costs nearly the same for one row as for eight."""


@dataclass(frozen=True)
class Peer:
    """A program, and how it is started."""

    module: str
    environment: Literal["", "lm-eval", "vllm"] = ""
    """Name of its own environment; empty: ours."""
    pays_for_all: bool = False
    """It runs every prompt whole, so that a part of the queries stands for all where these are too many."""


PEERS = {
    "icl": Peer("benchmarks.workers.icl_worker"),
    "lm-eval": Peer("benchmarks.workers.lm_eval_worker", "lm-eval", pays_for_all=True),
    "hf-loop": Peer("benchmarks.workers.hf_loop_worker", pays_for_all=True),
    "vllm": Peer("benchmarks.workers.vllm_worker", "vllm"),
    "floor": Peer("benchmarks.workers.floor_worker"),
}


class PeerFailed(Exception):
    """A worker ended; the message carries its last words."""


class Process:
    """A running worker. Use as a context manager."""

    def __init__(self, name: str, model: str, dtype: str) -> None:
        peer = PEERS[name]
        self.name = name
        python = str(environment_python(peer.environment)) if peer.environment else sys.executable
        self.errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - lives as long as the worker
        environment = {**os.environ, "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
        if peer.environment:
            environment.pop("PYTHONPATH", None)  # nothing of ours but what `-m` finds in the repository
        self.process = subprocess.Popen(
            [python, "-m", peer.module], cwd=REPOSITORY, env=environment, text=True, encoding="utf-8",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
        )  # fmt: skip
        try:
            self.facts = self.ask({"model": model, "dtype": dtype})
        except BaseException:
            self.close()
            raise

    def ask(self, question: dict[str, Any]) -> Reply:
        """One line there, one line back. Raises PeerFailed when the worker has ended."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            print(json.dumps(question), file=self.process.stdin, flush=True)
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            code = self.process.wait()
            self.errors.seek(0)
            last = [text.strip() for text in self.errors.read().splitlines() if text.strip()][-3:]
            raise PeerFailed(f"{self.name} ended (exit status {code}): {' | '.join(last) or 'it said nothing'}")
        reply: Reply = json.loads(line)
        return reply

    def close(self) -> None:
        """Ends the worker: it stops when its input does."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it ended first
            self.process.stdin.close()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.errors.close()

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def start(names: list[str], model: str, dtype: str) -> tuple[dict[str, Process], dict[str, str]]:
    """Name → running worker, and name → why it is left out."""
    running: dict[str, Process] = {}
    missing: dict[str, str] = {}
    for name in names:
        try:
            running[name] = Process(name, model, dtype)
        except (EnvironmentUnavailable, PeerFailed) as problem:
            missing[name] = str(problem)
            print(f"benchmarks: {name} is left out: {problem}", file=sys.stderr, flush=True)
    return running, missing


def batch_sizes(workload: Workload, vocabulary: int) -> list[int]:
    """The batch sizes that lm-eval may choose from: those whose logits fit in memory, and that there are prompts for."""
    most = _most_rows(workload, vocabulary)
    offered = LM_EVAL_WRITING if workload.generates else LM_EVAL_BATCHES
    fitting = [size for size in offered if size <= min(most, len(workload.sequences))]
    return fitting or [min(most, len(workload.sequences))]


def loop_batch(workload: Workload, vocabulary: int) -> int:
    """16 whole prompts, or as many as fit."""
    return min(LOOP_BATCH, len(workload.sequences), _most_rows(workload, vocabulary))


def _most_rows(workload: Workload, vocabulary: int) -> int:
    if workload.generates:
        return max(LM_EVAL_BATCHES)  # only last positions go through the head
    return max(1, LOGITS_BUDGET // (max(map(len, workload.sequences)) * vocabulary * LOGITS_BYTES))
