"""Episodes of other tasks, for meta-training and for choosing hyper-parameters. Nothing here looks at the evaluated task's rows, except
to leave out every text that it also has.

Meta-train episodes come from the demonstration splits of the tasks that the card names as related, meta-validation episodes from their
validation splits. Only labels that the evaluated task has are used (the neutral rows of tweet-sentiment are left out when positive and
negative are asked for), and a related task that lacks one of them is not used. Label names mean the same in all of them, so they are
never permuted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from compare.types import LearningEpisode, Support
from tasks import Example, IclError, Task, keyed_rng
from tasks.normalise import example_key

TRAIN_ROWS = 200
"""Rows per label and related task that meta-training may read (at least K + QUERIES_PER_LABEL are taken)."""
VALIDATION_ROWS = 80
"""The same for meta-validation."""
TRAIN_EPISODES = 300
"""Meta-train episodes per K; an outer step draws some of them."""
VALIDATION_EPISODES = 20
"""Meta-validation episodes per K, the same for every learner and configuration."""
QUERIES_PER_LABEL = 15


@dataclass(frozen=True)
class MetaTasks:
    """What the related tasks offer."""

    tasks: tuple[Task, ...]
    notes: tuple[str, ...]
    """What was left out, and why; one line each."""


@dataclass(frozen=True)
class MetaEpisodes:
    """Episodes of one K."""

    train: tuple[LearningEpisode, ...]
    validation: tuple[LearningEpisode, ...]


def load_related(task: Task, load: Callable[[str], Task]) -> MetaTasks:
    """The related tasks that have all labels of `task`. Raises IclError for a card that names itself or an overlapping task."""
    kept, notes = [], []
    for name in task.related:
        other = load(name)
        if other.name == task.name or other.name in task.overlaps:
            why = "the task itself" if other.name == task.name else "under 'overlaps', too: texts of the test would be trained on"
            raise IclError(f"'{name}' stands under 'related' in the card of '{task.name}', but is {why}; remove it there")
        if task.name in other.overlaps:
            raise IclError(f"task '{name}' says that it overlaps '{task.name}', so it cannot be related to it: remove it from 'related'")
        missing = [label for label in task.labels if label not in other.labels]
        if missing:
            notes.append(f"related task '{name}' is not used: it has no label {', '.join(missing)}")
            continue
        extra = [label for label in other.labels if label not in task.labels]
        if extra:
            notes.append(f"rows of '{name}' with label {', '.join(extra)} are left out: '{task.name}' has no such label")
        kept.append(other)
    return MetaTasks(tuple(kept), tuple(notes))


def require_related(task: Task, found: MetaTasks, learner: str) -> None:
    """Raises IclError when a learner that needs other tasks has none."""
    if found.tasks:
        return
    if not task.related:
        raise IclError(
            f"{learner} learns from other tasks, but the card of '{task.name}' names none; add a line 'related: [TASK, …]' with tasks that "
            f"have the labels {', '.join(task.labels)} and share no texts with it, or leave {learner} out of --learners"
        )
    raise IclError(
        f"{learner} needs a related task with the labels {', '.join(task.labels)}, but {'; '.join(found.notes)}; "
        f"name another under 'related' in the card, or leave {learner} out of --learners"
    )


def require_rows(most: int, k: int, learner: str) -> None:
    """Raises IclError when a learner that is meta-trained has no episodes with so many support rows; `most`: the largest K that has."""
    if k > most:
        raise IclError(
            f"{learner} is meta-trained on episodes of K rows and {QUERIES_PER_LABEL} queries per label, but the rows suffice for "
            f"K = {most} at most, not for {k}; use a smaller --k-shot, or leave {learner} out of --learners"
        )


class Pools:
    """Rows of the related tasks by task and label, drawn once."""

    def __init__(self, task: Task, related: Sequence[Task], *, k_max: int, seed: int, also: Sequence[Task] = ()) -> None:
        """`also`: other tasks that are played on; none of their texts is learnt from."""
        self.labels = task.labels
        self.seed = seed
        least = k_max + QUERIES_PER_LABEL
        played = (task, *also) if related else ()
        self._evaluated = {example_key(example, t.kind) for t in played for split in t.splits.values() for example in split}
        self.shared = 0
        self.train = {t.name: self._rows(t, "demonstration", max(TRAIN_ROWS, least)) for t in related}
        self.validation = {t.name: self._rows(t, "validation", max(VALIDATION_ROWS, least)) for t in related if "validation" in t.splits}

    def _rows(self, task: Task, role: str, limit: int) -> dict[str, list[Example]]:
        """Label → at most `limit` rows in keyed random order, without texts that the evaluated task has."""
        split = task.splits[role]
        targets = np.asarray(split.targets)
        out = {}
        for label in self.labels:
            order = keyed_rng(self.seed, "meta-rows", task.name, role, label).permutation(np.flatnonzero(targets == label))
            rows: list[Example] = []
            for index in order:
                if len(rows) == limit:
                    break
                example = split[int(index)]
                if example_key(example, task.kind) in self._evaluated:
                    self.shared += 1
                else:
                    rows.append(example)
            out[label] = rows
        return out

    @property
    def most_shots(self) -> int:
        """The largest K of a meta-train episode; 0 or less when there is none."""
        return max((min(map(len, rows.values())) for rows in self.train.values()), default=0) - QUERIES_PER_LABEL

    def examples(self) -> list[tuple[str, Example]]:
        """Every row of both pools with its task."""
        return [(name, row) for pool in (self.train, self.validation) for name, of in pool.items() for rows in of.values() for row in rows]

    def episodes(self, k: int) -> MetaEpisodes:
        """Meta-train and meta-validation episodes of K = k, the tasks in turn."""
        return MetaEpisodes(
            self._draw(self.train, "meta-train", k, TRAIN_EPISODES), self._draw(self.validation, "meta-validation", k, VALIDATION_EPISODES)
        )

    def _draw(self, pool: dict[str, dict[str, list[Example]]], purpose: str, k: int, n: int) -> tuple[LearningEpisode, ...]:
        """Tasks with fewer than k + QUERIES_PER_LABEL rows of a label take no part."""
        fit = [name for name, rows in pool.items() if min(map(len, rows.values())) >= k + QUERIES_PER_LABEL]
        return tuple(draw_episode(self.seed, fit[i % len(fit)], pool[fit[i % len(fit)]], purpose, k, i) for i in range(n if fit else 0))


def draw_episode(seed: int, task: str, rows: Mapping[str, list[Example]], purpose: str, k: int, number: int) -> LearningEpisode:
    """K support rows and QUERIES_PER_LABEL queries of every label in `rows`, whose order is that of the labels."""
    support: list[Example] = []
    queries: list[Example] = []
    for label, of in rows.items():
        rng = keyed_rng(seed, purpose, task, k, number, label)
        drawn = [of[int(i)] for i in rng.permutation(len(of))[: k + QUERIES_PER_LABEL]]
        support.extend(drawn[:k])
        queries.extend(drawn[k:])
    column = {label: j for j, label in enumerate(rows)}
    id = f"{purpose}-{k}-{number:03d}"
    return LearningEpisode(
        id=id,
        support=Support(id, task, tuple(rows), tuple(support)),
        queries=tuple(example.query() for example in queries),
        targets=np.array([column[example.target] for example in queries], dtype=np.int64),
    )
