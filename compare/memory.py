"""Running out of memory: smaller chunks first, then an error that ends the command. It is never scored as a failure."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tasks import IclError

T = TypeVar("T")


class OutOfMemory(IclError):
    """There is not enough of it, even for the smallest piece."""


class Chunks:
    """How many tasks (or examples of one) are in memory at once. Halved when that is too many, and stays so."""

    def __init__(self, size: int, who: str, what: str = "task") -> None:
        self.size, self.who, self.what = size, who, what

    def __call__(self, compute: Callable[[int], T]) -> T:
        """`compute` of their number. Raises OutOfMemory when one is too many."""
        from icl.engine.memory import is_out_of_memory

        while True:
            try:
                return compute(self.size)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if self.size == 1:
                    raise OutOfMemory(
                        f"{self.who} needs more memory than there is, even with one {self.what} at a time; use a smaller K or model, or "
                        "leave it out of --learners"
                    ) from error
            self.size //= 2  # outside the handler, which would keep the tensors of the failed attempt alive
