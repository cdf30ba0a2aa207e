"""CondAcc: the examples whose presence in random prompts goes with the highest accuracy on held-out examples (Chang & Jia 2023).

s(e) = mean over random prompts Z that hold e of acc(Z), with acc(Z) the share of development examples that the model answers rightly
after Z. Fifty prompts of k examples are drawn from a candidate set of max(2k, 20) examples of the pool, but at most half of it where k
allows; up to 20 of the other examples are the development set, so the queries are never used. An example that no prompt drew has the mean
score of all prompts. The k best stand in rising order, the best last; ties fall to the example that was drawn earlier as a candidate. The
paper draws prompts balanced by label from a larger set and prompts from the best subset again; here the k best are shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from icl.selection.types import Chooser, Judge, check_enough
from tasks.errors import IclError
from tasks.types import LETTERS, Example, Query

PROMPTS = 50
CANDIDATES = 20
DEVELOPMENT = 20


@dataclass(frozen=True)
class CondAccSelector:
    """Needs no query; the model reads fifty contexts with the development set after each."""

    judge: Judge
    per_query: bool = False

    def over(self, support: Sequence[Example], labels: Sequence[str]) -> Chooser:
        return _CondAccChooser(self.judge, support, tuple(labels))


@dataclass(frozen=True)
class _CondAccChooser:
    judge: Judge
    support: Sequence[Example]
    labels: tuple[str, ...]

    def choose(self, query: Query | None, k: int, rng: np.random.Generator) -> list[int]:
        size = len(self.support)
        check_enough("condacc", k, size)
        order = [int(i) for i in rng.permutation(size)]
        candidates = order[: max(k, min(max(2 * k, CANDIDATES), size // 2))]
        development = [self.support[i] for i in order[len(candidates) :][:DEVELOPMENT]]
        if k == 0 or not development:  # all of the pool is shown: there is nothing to choose, and nothing to choose by
            return candidates[:k]
        drawn = [[int(i) for i in rng.choice(len(candidates), size=k, replace=False)] for _ in range(PROMPTS)]
        score = conditional_mean(self._accuracy([[candidates[i] for i in places] for places in drawn], development), drawn, len(candidates))
        return [candidates[int(i)] for i in np.argsort(-score, kind="stable")[:k][::-1]]

    def _accuracy(self, prompts: Sequence[Sequence[int]], development: Sequence[Example]) -> NDArray[np.float64]:
        """Share of the development examples that are answered rightly after each prompt, (prompts,)."""
        right = np.array([right_column(example, self.labels) for example in development])
        contexts = [[self.support[i] for i in places] for places in prompts]
        log_q = self.judge.answers(self.labels, [example.query() for example in development], contexts)
        share: NDArray[np.float64] = (log_q.argmax(axis=2) == right).mean(axis=1)
        return share


def conditional_mean(accuracy: NDArray[np.float64], drawn: Sequence[Sequence[int]], size: int) -> NDArray[np.float64]:
    """Mean accuracy of the prompts that hold each candidate, (size,); the mean of all where none does. Rounded, so that ties are ties."""
    holds = np.zeros((len(drawn), size))
    for row, places in enumerate(drawn):
        holds[row, list(places)] = 1
    times = holds.sum(axis=0)
    mean: NDArray[np.float64] = np.where(times > 0, accuracy @ holds / np.maximum(times, 1), accuracy.mean())
    return np.round(mean, 9)


def right_column(example: Example, labels: Sequence[str]) -> int:
    """Which candidate is right. Raises IclError for an answer that is no label and no letter of a choice."""
    names = list(labels) or list(LETTERS[: len(example.choices)])
    if example.target not in names:
        raise IclError("selector 'condacc' needs a task with labels or lettered choices, but this one has free answers; use --selector knn")
    return names.index(example.target)
