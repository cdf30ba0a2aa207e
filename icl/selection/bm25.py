"""BM25 retrieval: the k support examples whose inputs match the query's words best, best match last (Robertson & Zaragoza 2009).

score(q, d) = Σ_w idf(w) · tf(w, d) (k1 + 1) / (tf(w, d) + k1 (1 − b + b |d| / avg|d|)), with k1 = 1.5, b = 0.75 (bm25s, Lucene's idf).
Ties fall to the example that stands earlier in the pool.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from icl.selection.types import Chooser, check_enough, text_of, words_of
from tasks.types import Example, Query


@dataclass(frozen=True)
class BM25Selector:
    """Asked once per query."""

    per_query: bool = True

    def over(self, support: Sequence[Example], labels: Sequence[str]) -> Chooser:
        import bm25s

        corpus = [words_of(text_of(example.query())) for example in support]
        if not any(corpus):
            return _BM25Chooser(None, len(corpus))
        index = bm25s.BM25(k1=1.5, b=0.75)
        index.index(corpus, show_progress=False)
        return _BM25Chooser(index, len(corpus))


@dataclass(frozen=True)
class _BM25Chooser:
    index: Any
    """None when no support text has a word: then every example scores the same."""
    size: int

    def choose(self, query: Query | None, k: int, rng: np.random.Generator) -> list[int]:
        assert query is not None
        check_enough("bm25", k, self.size)
        words = [word for word in words_of(text_of(query)) if self.index is not None and word in self.index.vocab_dict]
        scores = np.asarray(self.index.get_scores(words)) if words else np.zeros(self.size)
        best = np.argsort(-scores, kind="stable")[:k]
        return [int(i) for i in best[::-1]]
