"""Meta-train and meta-validation episodes of other classes of the same task: N classes of the part, drawn anew for every episode.

The parts are disjoint (the card's key `classes`), and meta-test classes are in neither. Within an episode support and queries are
disjoint; which column a class has follows from the draw, so outputs are class numbers without a meaning.
"""

from __future__ import annotations

from collections.abc import Mapping

from compare.meta_tasks import QUERIES_PER_LABEL, TRAIN_EPISODES, VALIDATION_EPISODES, MetaEpisodes, draw_episode
from compare.types import LearningEpisode
from tasks import Example, Task, keyed_rng

CLASS_ROWS = 60
"""Rows per class that may be read (at least K + QUERIES_PER_LABEL are taken)."""

Rows = dict[str, list[Example]]


class ClassPools:
    """Rows of the classes to learn from, drawn once. Offers what `compare.meta_tasks.Pools` offers."""

    def __init__(self, parts: Mapping[str, Task], *, n_way: int, k_max: int, seed: int) -> None:
        self.n_way, self.seed = n_way, seed
        self.shared = 0
        least = max(CLASS_ROWS, k_max + QUERIES_PER_LABEL)
        self.train, self.validation = ({task.name: self._rows(task, least)} for task in (parts["train"], parts["validation"]))

    def _rows(self, task: Task, limit: int) -> Rows:
        """Label → at most `limit` rows in keyed random order."""
        found: Rows = {label: [] for label in task.labels}
        for split in task.splits.values():
            for example in split:
                found[example.target].append(example)
        orders = {label: keyed_rng(self.seed, "class-rows", task.name, label).permutation(len(rows)) for label, rows in found.items()}
        return {label: [rows[int(i)] for i in orders[label][:limit]] for label, rows in found.items()}

    @property
    def most_shots(self) -> int:
        """The largest K of a meta-train episode; 0 or less when there is none."""
        rows = sorted((len(of) for pool in self.train.values() for of in pool.values()), reverse=True)
        return rows[self.n_way - 1] - QUERIES_PER_LABEL

    def examples(self) -> list[tuple[str, Example]]:
        """Every row of both pools with its task."""
        return [(name, row) for pool in (self.train, self.validation) for name, of in pool.items() for rows in of.values() for row in rows]

    def episodes(self, k: int) -> MetaEpisodes:
        """Meta-train and meta-validation episodes of K = k."""
        return MetaEpisodes(
            self._draw(self.train, "meta-train", k, TRAIN_EPISODES), self._draw(self.validation, "meta-validation", k, VALIDATION_EPISODES)
        )

    def _draw(self, pool: Mapping[str, Rows], purpose: str, k: int, n: int) -> tuple[LearningEpisode, ...]:
        """Classes with fewer than k + QUERIES_PER_LABEL rows take no part; without N such classes there are no episodes."""
        (task, rows), episodes = next(iter(pool.items())), []
        fit = [label for label, of in rows.items() if len(of) >= k + QUERIES_PER_LABEL]
        for i in range(n if len(fit) >= self.n_way else 0):
            chosen = keyed_rng(self.seed, purpose, task, k, i, "ways").permutation(len(fit))[: self.n_way]
            episodes.append(draw_episode(self.seed, task, {fit[int(j)]: rows[fit[int(j)]] for j in chosen}, purpose, k, i))
        return tuple(episodes)
