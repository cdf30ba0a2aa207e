"""MDL: of ten random sets of near examples, the one after which the model is surest of its answer (self-adaptive ICL, Wu et al. 2023).

C* = arg min over C of H(C) = −Σ_y q(y | x, C) log q(y | x, C), with C drawn in random order from the 30 nearest examples (from the k
nearest where more are shown, from all of a smaller pool). The entropy is the length of the code for an answer that the model has yet to
be told; the right answer is not looked at. Ties fall to the set that was drawn first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from icl.selection.knn import KNNSelector
from icl.selection.types import Chooser, Embed, Judge, check_enough
from tasks.types import Example, Query

NEAREST = 30
SETS = 10


@dataclass(frozen=True)
class MDLSelector:
    """Asked once per query; the model reads ten contexts to choose one."""

    embed: Embed
    judge: Judge
    per_query: bool = True

    def over(self, support: Sequence[Example], labels: Sequence[str]) -> Chooser:
        return _MDLChooser(KNNSelector(self.embed).over(support, labels), self.judge, support, tuple(labels))


@dataclass(frozen=True)
class _MDLChooser:
    nearest: Chooser
    judge: Judge
    support: Sequence[Example]
    labels: tuple[str, ...]

    def choose(self, query: Query | None, k: int, rng: np.random.Generator) -> list[int]:
        assert query is not None
        check_enough("mdl", k, len(self.support))
        if k == 0:
            return []
        near = self.nearest.choose(query, max(k, min(NEAREST, len(self.support))), rng)
        sets = [[near[int(i)] for i in rng.choice(len(near), size=k, replace=False)] for _ in range(SETS)]
        log_q = self.judge.answers(self.labels, [query], [[self.support[i] for i in chosen] for chosen in sets])[:, 0]
        q = np.exp(log_q)
        entropy = -(q * np.where(q > 0, log_q, 0)).sum(axis=1)  # 0 log 0 = 0
        return sets[int(np.argmin(entropy))]
