"""Lowest perplexity: the examples whose inputs surprise the model least, the least surprising one last (Gonen et al. 2023).

ppl(e) = exp(−(1/T) Σ_t log p(w_t | w_<t)) over the query side of e as the template writes it, without demonstrations or answer. The paper
ranks whole prompts; this is its ranking for one demonstration. The set is the same for all queries. Ties fall to the example that stands
earlier in the pool.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from icl.selection.types import Chooser, Judge, check_enough
from tasks.types import Example, Query


@dataclass(frozen=True)
class PerplexitySelector:
    """Needs no query; every example of the pool is scored once."""

    judge: Judge
    per_query: bool = False

    def over(self, support: Sequence[Example], labels: Sequence[str]) -> Chooser:
        return _PerplexityChooser(self.judge.surprise(labels, [example.query() for example in support]))


@dataclass(frozen=True)
class _PerplexityChooser:
    surprise: NDArray[np.float64]
    """Logarithms of perplexities, (pool,)."""

    def choose(self, query: Query | None, k: int, rng: np.random.Generator) -> list[int]:
        check_enough("perplexity", k, len(self.surprise))
        return [int(i) for i in np.argsort(self.surprise, kind="stable")[:k][::-1]]
