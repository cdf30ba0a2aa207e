"""Selectors: which support examples become demonstrations, and in which order (order is part of the strategy).

A selector is prepared once per support pool (`over`), then asked once per episode, or once per query when `per_query` is true. It sees
the query without its answer, and its randomness is keyed by (seed, episode, query).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tasks.errors import IclError
from tasks.types import Example, Query

Embed = Callable[[Sequence[str]], NDArray[np.float32]]
"""Texts → vectors, one row per text."""


class Judge(Protocol):
    """What the evaluated model makes of prompts. `labels` are those in play."""

    def answers(self, labels: Sequence[str], queries: Sequence[Query], contexts: Sequence[Sequence[Example]]) -> NDArray[np.float64]:
        """Log-probabilities over each query's candidates after each list of demonstrations, normalised: (contexts, queries, candidates).

        -inf stands where a query has fewer candidates than another.
        """
        ...

    def likelihood(self, labels: Sequence[str], examples: Sequence[Example], contexts: Sequence[Sequence[Example]]) -> NDArray[np.float64]:
        """Log-probability of each example's own answer after each list of demonstrations, (contexts, examples): a sum over its tokens."""
        ...

    def surprise(self, labels: Sequence[str], queries: Sequence[Query]) -> NDArray[np.float64]:
        """Mean of −log p per token of each query side, without demonstrations, (queries,)."""
        ...


@dataclass(frozen=True)
class Means:
    """What a strategy may ask of the evaluated model."""

    embed: Embed
    judge: Judge


class Chooser(Protocol):
    """A selector prepared for one support pool."""

    def choose(self, query: Query | None, k: int, rng: np.random.Generator) -> list[int]:
        """Positions of exactly k demonstrations in the pool, in the order in which they will stand. `query` is None unless per query."""
        ...


class Selector(Protocol):
    """A selection strategy."""

    @property
    def per_query(self) -> bool:
        """Whether every query gets demonstrations of its own."""
        ...

    def over(self, support: Sequence[Example], labels: Sequence[str]) -> Chooser:
        """Prepared for this pool. `labels` is the task's label set (empty when it has none)."""
        ...


def embedder_of(selector: object) -> Embed | None:
    """What a selector or an order embeds texts with; None for one that never asks the engine."""
    embed: Embed | None = getattr(selector, "embed", None)
    return embed


def judge_of(selector: object) -> Judge | None:
    """What a selector or an order asks for scores; None for one that needs none."""
    judge: Judge | None = getattr(selector, "judge", None)
    return judge


def words_of(text: str) -> list[str]:
    """Words of letters and digits, case folded."""
    return "".join(c if c.isalnum() else " " for c in text.casefold()).split()


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of length 1, (rows, hidden); a row of zeros stays one."""
    norm = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(norm > 0, norm, 1)).astype(np.float32)


def embed_pool(embed: Embed, support: Sequence[Example]) -> NDArray[np.float32]:
    """Unit vectors of the pool's inputs, (pool, hidden)."""
    return unit(embed([text_of(example.query()) for example in support]))


def text_of(query: Query) -> str:
    """The inputs of an item as one text, for retrieval."""
    return "\n".join(query.inputs.values())


def check_enough(name: str, k: int, have: int) -> None:
    """Raises IclError unless 0 <= k <= have: k asked is k given."""
    if not 0 <= k <= have:
        raise IclError(
            f"selector '{name}' needs 0 <= shots <= examples in the pool, but got {k} shots and {have} examples; use --shots {have}"
        )
