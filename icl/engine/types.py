"""The Engine protocol and what goes in and out of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Pooling = Literal["mean", "last"]
"""How a sequence's hidden states become one vector: their mean over its tokens, or its last token's."""

Progress = Callable[[int, int], None]
"""Called with the number of tokens just computed and the number that the whole call will compute (0 when that is not known)."""


def silent(tokens: int, total: int) -> None:
    """A Progress that shows nothing."""


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """A token sequence in two parts: what is read, and the span that is scored, each of its tokens given all before it.

    In parts, since the candidates of a query share their context: seventy-seven of them hold it once.
    """

    context: tuple[int, ...]
    answer: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.context:
            raise ValueError("something must stand before a scored span, but the context is empty")

    @classmethod
    def whole(cls, token_ids: Sequence[int], scored_from: int) -> ScoreRequest:
        """Tokens [scored_from, len) of a sequence are scored. Raises ValueError for a span that begins outside of it."""
        if not 1 <= scored_from <= len(token_ids):
            raise ValueError(f"1 <= scored_from <= {len(token_ids)} must hold, but got {scored_from}")
        return cls(tuple(token_ids[:scored_from]), tuple(token_ids[scored_from:]))

    @property
    def token_ids(self) -> tuple[int, ...]:
        """The whole sequence."""
        return self.context + self.answer

    @property
    def inputs(self) -> tuple[int, ...]:
        """What the model reads: the last token of a sequence is only ever a target."""
        return self.token_ids[:-1]

    @property
    def scored_from(self) -> int:
        """Where the span begins."""
        return len(self.context)

    def __len__(self) -> int:
        return len(self.context) + len(self.answer)


@dataclass
class Work:
    """What an engine has computed so far; what it could re-use is counted apart."""

    tokens_unique: int = 0
    """Token positions that went through the model."""
    tokens_total: int = 0
    """Token positions that a scorer without sharing would have computed."""
    scored_rows: int = 0
    """Rows that went through the LM head."""
    attended: int = 0
    """Sum over computed positions of the positions that each attends to (for the FLOPs of attention)."""
    spans_reused: int = 0
    """Spans, answers and embeddings that came from the score store."""


class Engine(Protocol):
    """Scores, writes, embeds and continues token sequences with one causal language model."""

    @property
    def work(self) -> Work:
        """What has been computed so far; counted on by the engine alone."""
        ...

    def score(self, requests: Sequence[ScoreRequest], progress: Progress) -> list[NDArray[np.float64]]:
        """Log-probabilities (natural) of each request's scored tokens: one array of shape (len - scored_from,) per request."""
        ...

    def generate(self, prompts: Sequence[Sequence[int]], max_new_tokens: int, stop: Sequence[str], progress: Progress) -> list[str]:
        """Greedy continuations as text, each cut before its first stop string."""
        ...

    def embed(self, sequences: Sequence[Sequence[int]], progress: Progress, pool: Pooling = "mean") -> NDArray[np.float32]:
        """Last hidden states pooled over each sequence: shape (sequences, hidden size)."""
        ...

    def distributions(self, sequences: Sequence[Sequence[int]], progress: Progress) -> NDArray[np.float32]:
        """Log-probabilities of every token after each sequence: shape (sequences, vocabulary). The caller bounds how many are held."""
        ...

    def last_states(self, sequences: Sequence[Sequence[int]], progress: Progress) -> NDArray[np.float32]:
        """Last hidden state of each sequence's last token, (sequences, hidden size): `embed` for long contexts that sequences share."""
        ...
