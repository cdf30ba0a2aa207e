"""Label-stratified retrieval: the best-ranked examples of each label, k // N of each of N labels, best match last.

A ranking walks from the best example down; a label takes its k // N best, and the k % N places that remain go to the labels that come by
first. Retrieval alone may fill the context with one label, which the model then copies (Zhao et al. 2021, section 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from icl.selection.types import Chooser, Embed, Selector, check_enough, embedder_of
from tasks.errors import IclError
from tasks.types import Example, Query


@dataclass(frozen=True)
class StratifiedSelector:
    """`ranking` is a selector that ranks: asked for the whole pool, it gives all of it with the best last."""

    name: str
    ranking: Selector
    per_query: bool = True

    @property
    def embed(self) -> Embed | None:
        """What the ranking embeds texts with."""
        return embedder_of(self.ranking)

    def over(self, support: Sequence[Example], labels: Sequence[str]) -> Chooser:
        if not labels:
            raise IclError(f"selector '{self.name}' needs a task with labels, but this one has none; use the same without -stratified")
        targets = list(getattr(support, "targets", None) or [example.target for example in support])
        return _StratifiedChooser(self.name, self.ranking.over(support, labels), targets, tuple(labels))


@dataclass(frozen=True)
class _StratifiedChooser:
    name: str
    ranking: Chooser
    targets: list[str]
    labels: tuple[str, ...]

    def choose(self, query: Query | None, k: int, rng: np.random.Generator) -> list[int]:
        check_enough(self.name, k, len(self.targets))
        share, over = divmod(k, len(self.labels))
        taken = dict.fromkeys(self.labels, 0)
        chosen: list[int] = []
        for i in reversed(self.ranking.choose(query, len(self.targets), rng)):
            label = self.targets[i]
            if label in taken and taken[label] < share + (over > 0):
                over -= taken[label] == share
                taken[label] += 1
                chosen.append(i)
        if len(chosen) < k:
            least = min(taken, key=lambda label: taken[label])
            raise IclError(
                f"selector '{self.name}' needs {share} or more examples of every label for {k} shots, "
                f"but the pool has {self.targets.count(least)} of '{least}'; use fewer --shots"
            )
        return chosen[::-1]
