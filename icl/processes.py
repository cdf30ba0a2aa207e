"""Several processes on one run, as `accelerate launch` starts them: who does what, and waiting for each other.

Sections are dealt out by their position, so no process needs to know what another has done; one of them leads: it alone decides the
directory, locks it, and finishes the run. Without a launcher there is one process, and nothing is set up.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

Value = TypeVar("Value")


@dataclass(frozen=True)
class Crew:
    """This process among all of a run."""

    rank: int = 0
    size: int = 1
    state: Any = None
    """accelerate's PartialState; None for one process."""

    @property
    def leads(self) -> bool:
        """Whether this is the process that decides, writes the shared files and prints."""
        return self.rank == 0

    def share(self, items: Sequence[Value]) -> list[Value]:
        """This process's part of the items."""
        return list(items[self.rank :: self.size])

    def wait(self) -> None:
        """Until all processes are here."""
        if self.state is not None:
            self.state.wait_for_everyone()

    def agree(self, decide: Callable[[], Value]) -> Value:
        """What the leader decides, in every process."""
        if self.state is None:
            return decide()
        from accelerate.utils import broadcast_object_list

        box = [decide() if self.leads else None]
        broadcast_object_list(box)
        return box[0]  # type: ignore[return-value]

    def device(self, name: str) -> str:
        """The device of this process: of several on one machine, each takes a GPU of its own."""
        return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if self.size > 1 and name == "cuda" else name


def launched_rank() -> int:
    """The rank that a launcher gave this process, 0 without one. Needs no torch."""
    return int(os.environ.get("RANK", "0")) if launched_size() > 1 else 0


def launched_size() -> int:
    """How many processes a launcher started, 1 without one."""
    size = os.environ.get("WORLD_SIZE", "1")
    return int(size) if size.isdigit() else 1


def crew_for(device: str) -> Crew:
    """Sets up what processes need to wait for each other, where a launcher has started several."""
    if launched_size() == 1:
        return Crew()
    from accelerate import PartialState

    state = PartialState(cpu=device == "cpu")
    return Crew(state.process_index, state.num_processes, state)
