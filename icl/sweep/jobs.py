"""Runs side by side in processes of their own: plain processes, each with its own model and its share of the cores."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from icl.shared import Shared
from icl.spec import RunSpec
from tasks.errors import IclError

_shared = Shared()
"""Of this process: a worker keeps its tasks and its model from one run to the next."""


def in_processes(specs: Mapping[int, RunSpec], out: Path, data_dir: str | Path | None, jobs: int) -> Iterator[tuple[int, Path | None, str]]:
    """Number, directory and reason of failure of each run, as they are done. When it is left early, all workers end."""
    threads = max(1, (os.cpu_count() or 1) // jobs)
    context = multiprocessing.get_context("spawn")  # a forked torch can hang
    with ProcessPoolExecutor(jobs, context, _set_up, (threads,)) as pool:
        waiting = {pool.submit(_one, spec, out, data_dir): i for i, spec in specs.items()}
        try:
            for done in as_completed(waiting):
                directory, reason = done.result()
                yield waiting[done], directory, reason
        except BrokenProcessPool as error:
            raise IclError(
                "a process of the sweep was killed (out of memory?); what is finished is kept, go on with fewer --jobs"
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            if any(not future.done() for future in waiting):
                for child in multiprocessing.active_children():
                    child.terminate()


def _set_up(threads: int) -> None:
    """Ctrl-C is for the parent, which ends the workers; a run is safe to end at any moment."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["OMP_NUM_THREADS"] = str(threads)
    import torch

    torch.set_num_threads(threads)


def _one(spec: RunSpec, out: Path, data_dir: str | Path | None) -> tuple[Path | None, str]:
    from icl.evaluation import evaluate

    try:
        return evaluate(spec, out=out, data_dir=data_dir, shared=_shared).dir, ""
    except IclError as error:
        return None, str(error)
