"""The progress line of a run: phase, episodes, tokens per second, time left. On stderr, and only on a terminal."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeRemainingColumn

from icl.processes import launched_rank

PHASES = {
    "data": "reading the task",
    "model": "finding the model",
    "load": "loading the model",
    "probes": "measuring what the report shows beside",
    "report": "writing the report",
}


class Watcher:
    """Events drawn with rich. A context manager: the line disappears when the job ends."""

    def __init__(self) -> None:
        self.console = Console(stderr=True)
        self.progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=not sys.stderr.isatty() or launched_rank() > 0,
        )
        self.line: TaskID = self.progress.add_task("starting", total=None, rate="")
        self.sections = 0
        self.done = 0
        self.computed = 0
        self.in_call = 0
        self.began = time.perf_counter()

    def __enter__(self) -> Watcher:
        self.progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.progress.stop()

    def phase(self, name: str) -> None:
        """See icl.events.Events."""
        self.progress.update(self.line, description=PHASES.get(name, name), total=None, rate="")

    def note(self, text: str) -> None:
        """See icl.events.Events."""
        if launched_rank() == 0:
            self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def start(self, sections: int, done: int) -> None:
        """See icl.events.Events."""
        self.sections, self.done, self.began = sections, done, time.perf_counter()
        self.progress.reset(self.line, total=float(sections), completed=done, description=self._title())

    def tokens(self, computed: int, total: int) -> None:
        """See icl.events.Events."""
        self.computed += computed
        self.in_call += computed
        rate = self.computed / max(time.perf_counter() - self.began, 1e-9)
        fraction = min(self.in_call / total, 1.0) if total else 0.0
        self.progress.update(self.line, completed=self.done + 0.99 * fraction, rate=f"{rate:,.0f} tokens/s", description=self._title())

    def section_done(self) -> None:
        """See icl.events.Events."""
        self.done += 1
        self.in_call = 0
        self.progress.update(self.line, completed=self.done, description=self._title())

    def _title(self) -> str:
        return f"{min(self.done + 1, self.sections)} of {self.sections}"
