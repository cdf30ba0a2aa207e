"""Balanced demonstrations: k // N of each of the N labels, the remainder from randomly chosen labels, in random order.

Removes the majority-label part of the context's bias (Zhao et al. 2021, section 4); recency remains.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from icl.selection.types import Chooser, check_enough
from tasks.errors import IclError
from tasks.types import Example, Query


@dataclass(frozen=True)
class BalancedSelector:
    """Needs a task with a label set."""

    per_query: bool = False

    def over(self, support: Sequence[Example], labels: Sequence[str]) -> Chooser:
        if not labels:
            raise IclError("selector 'balanced' needs a task with labels, but this one has none; use --selector random")
        targets = np.asarray(getattr(support, "targets", None) or [example.target for example in support])
        return _BalancedChooser(tuple(np.flatnonzero(targets == label) for label in labels), tuple(labels))


@dataclass(frozen=True)
class _BalancedChooser:
    rows: tuple[np.ndarray[tuple[int], np.dtype[np.int64]], ...]
    labels: tuple[str, ...]

    def choose(self, query: Query | None, k: int, rng: np.random.Generator) -> list[int]:
        check_enough("balanced", k, sum(map(len, self.rows)))
        counts = np.full(len(self.labels), k // len(self.labels))
        counts[rng.choice(len(self.labels), size=k % len(self.labels), replace=False)] += 1
        chosen: list[int] = []
        for label, rows, count in zip(self.labels, self.rows, counts.tolist(), strict=True):
            if count > len(rows):
                raise IclError(f"selector 'balanced' needs {count} examples of '{label}' for {k} shots, but the pool has {len(rows)}")
            chosen.extend(rng.choice(rows, size=count, replace=False).tolist())
        return [int(chosen[i]) for i in rng.permutation(len(chosen))]
