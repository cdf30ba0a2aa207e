"""Set coverage: demonstrations that together hold a match for every word of the query (Gupta et al. 2023, Set-BSR).

cover(x, Z) = mean over words w of x of max over z in Z, v in z, of cos(h(w), h(v)), grown greedily. The paper's h is a token's hidden
state in its text; here a word is embedded on its own, so a word has one vector wherever it stands. When no example covers more (all words
have their best match), the next ones start a new round from nothing, as in the paper. Chosen examples stand in the order of their own
coverage of the query, the best last. Ties fall to the example that stands earlier in the pool.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from icl.selection.types import Chooser, Embed, check_enough, text_of, unit, words_of
from tasks.types import Example, Query

NOTHING_NEW = 1e-6
"""A gain below this, in cosine per word, counts as none: float32 embeddings do not tell it apart."""


@dataclass(frozen=True)
class CoverageSelector:
    """Asked once per query; the pool's distinct words are embedded once."""

    embed: Embed
    per_query: bool = True

    def over(self, support: Sequence[Example], labels: Sequence[str]) -> Chooser:
        texts = [list(dict.fromkeys(words_of(text_of(example.query())))) for example in support]
        vocabulary = {word: i for i, word in enumerate(dict.fromkeys(word for words in texts for word in words))}
        vectors = unit(self.embed(list(vocabulary))) if vocabulary else np.zeros((0, 1), dtype=np.float32)
        return _CoverageChooser(self.embed, vectors, [np.array([vocabulary[w] for w in words], dtype=np.int64) for words in texts])


@dataclass(frozen=True)
class _CoverageChooser:
    embed: Embed
    vectors: NDArray[np.float32]
    """Unit vectors of the pool's words, (words, hidden)."""
    texts: list[NDArray[np.int64]]
    """Words of each example, as rows of `vectors`."""

    def choose(self, query: Query | None, k: int, rng: np.random.Generator) -> list[int]:
        assert query is not None
        check_enough("set-coverage", k, len(self.texts))
        match = self._matches(list(dict.fromkeys(words_of(text_of(query)))))
        chosen = greedy_cover(match, k)
        return sorted(chosen, key=lambda i: (float(match[i].mean()), -i))

    def _matches(self, words: list[str]) -> NDArray[np.float64]:
        """Best cosine of each query word within each example, (pool, query words); 0 within an example without words."""
        if not words or not len(self.vectors):
            return np.zeros((len(self.texts), 1))
        cosine = (self.vectors @ unit(self.embed(words)).T).astype(np.float64)  # (words, query words)
        return np.stack([cosine[text].max(axis=0) if len(text) else np.zeros(len(words)) for text in self.texts])


def greedy_cover(match: NDArray[np.float64], k: int) -> list[int]:
    """Positions in the order of being chosen. `match`: how well each example matches each query word, (pool, words)."""
    chosen: list[int] = []
    covered = np.full(match.shape[1], -1.0)
    while len(chosen) < k:
        gain = np.maximum(match, covered).mean(axis=1) - covered.mean()
        gain[chosen] = -np.inf
        best = int(np.argmax(gain))
        if gain[best] < NOTHING_NEW and (covered > -1).any():
            covered = np.full(match.shape[1], -1.0)
            continue
        chosen.append(best)
        covered = np.maximum(covered, match[best])
    return chosen
