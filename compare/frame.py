"""The frame of a comparison on disk, whatever is compared: one that is finished is found, one process alone makes it, an interrupted one
says how to go on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from icl.events import Events
from icl.runs import Draft, is_finished
from icl.runs.store import free_directory


def find_or_make(first: Path, fresh: bool, events: Events, make: Callable[[Draft], None]) -> Path:
    """The directory of the finished run: `first`, or with `fresh` the next that is free. `make` fills a draft; see `make_alone`."""
    if is_finished(first) and not fresh:
        events.note(f"run {first.name} is finished already; --fresh makes another")
        Draft(first).tidy()
        return first
    return make_alone(Draft(free_directory(first) if fresh else first), make)


def make_alone(draft: Draft, make: Callable[[Draft], None]) -> Path:
    """Makes the run, or goes on with it, unless another process has finished it in the meantime."""
    try:
        with draft.locked():
            if not is_finished(draft.dir):  # by another process, between our look and our lock
                make(draft)
            return draft.dir
    except KeyboardInterrupt as error:
        if not draft.partial.is_dir():
            raise
        raise KeyboardInterrupt(f"what is finished is kept in {draft.dir}; 'icl runs resume {draft.dir}' continues") from error
