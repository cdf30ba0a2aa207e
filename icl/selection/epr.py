"""EPR scores: the examples that help the model most with the query's neighbours (after Rubin et al. 2022, without the trained retriever).

s(e) = mean over proxies d ≠ e of log P(y_d | e, x_d), by the evaluated model with e as the only demonstration. The paper scores the
candidates of a *training* example by its own answer, P(y | e, x), and trains a retriever on these scores for queries. A selector never sees
the query's answer, and nothing is trained here: proxies stand for the query, the 5 examples of the pool that match it best (BM25), whose
answers are known. Candidates are the 30 best matches (the k best where more are shown). The k best stand in rising order, the best last;
ties fall to the better match. An example without any other proxy has the lowest score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from icl.selection.bm25 import BM25Selector
from icl.selection.types import Chooser, Judge, check_enough
from tasks.types import Example, Query

CANDIDATES = 30
PROXIES = 5


@dataclass(frozen=True)
class EPRSelector:
    """Asked once per query; the model reads every candidate before every proxy."""

    judge: Judge
    per_query: bool = True

    def over(self, support: Sequence[Example], labels: Sequence[str]) -> Chooser:
        return _EPRChooser(BM25Selector().over(support, labels), self.judge, support, tuple(labels))


@dataclass(frozen=True)
class _EPRChooser:
    matches: Chooser
    judge: Judge
    support: Sequence[Example]
    labels: tuple[str, ...]

    def choose(self, query: Query | None, k: int, rng: np.random.Generator) -> list[int]:
        check_enough("epr", k, len(self.support))
        if k == 0:
            return []
        near = self.matches.choose(query, min(max(k, CANDIDATES), len(self.support)), rng)[::-1]  # the best match first
        proxies = near[:PROXIES]
        log_p = self.judge.likelihood(self.labels, [self.support[d] for d in proxies], [[self.support[e]] for e in near])
        other = np.array([[e != d for d in proxies] for e in near])
        total, count = np.where(other, log_p, 0).sum(axis=1), other.sum(axis=1)
        score = np.where(count > 0, total / np.maximum(count, 1), -np.inf)
        best = np.argsort(-np.round(score, 9), kind="stable")[:k]
        return [near[int(i)] for i in best[::-1]]
