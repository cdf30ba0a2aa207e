"""A task whose test split cannot be read: what a search is given.

Reading a task makes its splits disjoint, and other tasks' rows are held against all of its texts; both happen before. From here on any
look at a test row is an error, not a number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NoReturn

from tasks import IclError
from tasks.types import Examples, Task


class TestRowRead(RuntimeError):
    """A defect of this program: a search looked at what it is to be judged by."""

    __test__ = False  # not a class of tests


class Sealed(Examples):
    """Rows that nobody may read; how many there are is no secret."""

    def __init__(self, rows: Examples, name: str) -> None:
        self._count, self._name = len(rows), name

    def __len__(self) -> int:
        return self._count

    def _refuse(self) -> NoReturn:
        raise TestRowRead(f"a search must not read the test split of task '{self._name}'")

    @property
    def table(self) -> Any:
        """Refused, as all that reads a row."""
        self._refuse()

    @property
    def ids(self) -> list[str]:
        """Refused."""
        self._refuse()

    @property
    def targets(self) -> list[str]:
        """Refused."""
        self._refuse()

    def __getitem__(self, index: Any) -> Any:
        self._refuse()

    def __iter__(self) -> Iterator[Any]:
        self._refuse()

    def by_id(self, id: str) -> NoReturn:
        """Refused."""
        self._refuse()

    def __contains__(self, item: object) -> bool:
        self._refuse()


def sealed(task: Task) -> Task:
    """The task without its test rows. Raises IclError when it lacks the splits that a search and its test need."""
    if missing := [role for role in ("validation", "test") if role not in task.splits]:
        raise IclError(
            f"a search reads the validation split and is judged by the test split, but task '{task.name}' has no "
            f"{' and no '.join(missing)} split; give its card a part of the data for {missing[0]}"
        )
    return replace(task, splits={**task.splits, "test": Sealed(task.splits["test"], task.name)})
