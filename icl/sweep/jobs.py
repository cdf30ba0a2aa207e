"""Runs side by side in processes of their own: plain processes, each with its own model and its share of the threads."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from icl.shared import Shared
from icl.spec import RunSpec
from tasks.errors import IclError


def in_processes(specs: Mapping[int, RunSpec], out: Path, data_dir: str | Path | None, jobs: int) -> Iterator[tuple[int, Path | None, str]]:
    """Number, directory and reason of failure of each run, as they are done. Left early, it ends all workers first."""
    import torch

    threads = max(1, torch.get_num_threads() // jobs)
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
            if not all(future.done() for future in waiting):
                for child in multiprocessing.active_children():
                    child.terminate()


class _Worker:
    """What a worker keeps from one run to the next, and whether it has been told to stop."""

    def __init__(self) -> None:
        self.shared = Shared()
        self.working = False
        self.stopped = False

    def stop(self, number: int, frame: Any) -> None:
        """Ends the run under way as Ctrl-C would, so that it keeps its sections and lets go of its lock; no other is begun."""
        self.stopped = True
        if self.working:
            raise KeyboardInterrupt

    def run(self, spec: RunSpec, out: Path, data_dir: str | Path | None) -> tuple[Path | None, str]:
        """Directory, or why there is none."""
        from icl.evaluation import evaluate

        if self.stopped:
            return None, "interrupted"
        self.working = True
        try:
            return evaluate(spec, out=out, data_dir=data_dir, shared=self.shared).dir, ""
        except IclError as error:
            return None, str(error)
        except KeyboardInterrupt:
            return None, "interrupted"
        finally:
            self.working = False


_worker = _Worker()


def _set_up(threads: int) -> None:
    """Ctrl-C reaches all processes of a terminal, but it is the parent that ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _worker.stop)
    os.environ["OMP_NUM_THREADS"] = str(threads)
    import torch

    torch.set_num_threads(threads)


def _one(spec: RunSpec, out: Path, data_dir: str | Path | None) -> tuple[Path | None, str]:
    return _worker.run(spec, out, data_dir)
