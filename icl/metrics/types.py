"""What is measured: the outcomes of one episode, the prediction rule, and the Metric protocol."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

TIE = 1e-9
"""Log-probabilities closer than this are equal: above the rounding of float64 sums, far below what float32 scores tell apart."""


def predict(log_probs: Array, query_ids: Sequence[str]) -> Indices:
    """Index of the best candidate per row of (n_query, n_candidate).

    The first of several equal candidates is not a neutral choice: it favours whichever label the card lists first. A tie therefore falls to
    the candidate that a hash of the query's id picks among the tied ones: the same in every run, and even over queries.
    """
    tied = log_probs >= log_probs.max(axis=1, keepdims=True) - TIE
    best: Indices = tied.argmax(axis=1).astype(np.int64)
    for row in np.flatnonzero(tied.sum(axis=1) > 1):
        among = np.flatnonzero(tied[row])
        digest = hashlib.sha256(f"tie\x1f{query_ids[int(row)]}".encode()).digest()
        best[row] = among[int.from_bytes(digest[:8], "big") % len(among)]
    return best


@dataclass(frozen=True)
class Outcome:
    """Calibrated predictions of one episode with its right answers. Raises ValueError for shapes that do not fit."""

    log_probs: Array
    """(n_query, n_candidate), natural, normalised over candidates; -inf for a candidate that a query does not have."""
    target: Indices
    """(n_query,): column of the right candidate."""
    query_ids: tuple[str, ...]
    """Unique within the episode; the same id in two episodes is the same query."""
    candidates: tuple[str, ...] | None = None
    """Labels of the columns when all queries have the same; None when the candidates differ (multiple choice)."""

    def __post_init__(self) -> None:
        shape, queries = self.log_probs.shape, len(self.query_ids)
        if len(shape) != 2 or shape[0] != queries or self.target.shape != (queries,) or queries == 0:
            raise ValueError(f"n_query >= 1 must agree, but got log_probs {shape}, target {self.target.shape}, {queries} query ids")
        if self.target.min() < 0 or self.target.max() >= shape[1]:
            raise ValueError(f"0 <= target < {shape[1]} must hold, but got {self.target.min()} to {self.target.max()}")
        if self.candidates is not None and len(self.candidates) != shape[1]:
            raise ValueError(f"{shape[1]} columns need as many candidates, but got {len(self.candidates)}")
        _check_ids(self.query_ids)

    @cached_property
    def predicted(self) -> Indices:
        """(n_query,): column of the predicted candidate."""
        return predict(self.log_probs, self.query_ids)

    @cached_property
    def correct(self) -> Array:
        """(n_query,): 1.0 where the prediction is right."""
        correct: Array = (self.predicted == self.target).astype(np.float64)
        return correct

    @cached_property
    def confidence(self) -> Array:
        """(n_query,): probability of the predicted candidate."""
        confidence: Array = np.exp(self.log_probs.max(axis=1))
        return confidence


@dataclass(frozen=True)
class GenerationOutcome:
    """Generated answers of one episode. Raises ValueError for lengths that do not fit or a query without an accepted answer."""

    texts: tuple[str, ...]
    answers: tuple[tuple[str, ...], ...]
    """Per query, every answer that counts as right."""
    query_ids: tuple[str, ...]

    def __post_init__(self) -> None:
        if not len(self.texts) == len(self.answers) == len(self.query_ids) > 0:
            raise ValueError(f"n_query >= 1 must agree, but got {len(self.texts)}, {len(self.answers)}, {len(self.query_ids)}")
        if not all(self.answers):
            raise ValueError("every query needs an accepted answer, but one has none")
        _check_ids(self.query_ids)


AnyOutcome = Outcome | GenerationOutcome


class Metric(Protocol):
    """A number about the queries of one episode, which can be reweighted (the bootstrap gives queries other weights)."""

    @property
    def name(self) -> str: ...

    @property
    def needs_labels(self) -> bool:
        """Whether it only has a meaning when all queries have the same candidates."""
        ...

    @property
    def higher_is_better(self) -> bool: ...

    def applies(self, outcome: AnyOutcome) -> bool:
        """Whether this outcome can be measured."""
        ...

    def __call__(self, outcome: AnyOutcome, weights: Array | None = None) -> Array:
        """Value for weights (..., n_query) >= 0, shape (...). None means weight 1 for each query: shape ()."""
        ...

    def influence(self, outcome: AnyOutcome) -> Array:
        """(n_query,): derivative of the value with respect to each query's weight, at weight 1 (the infinitesimal jackknife)."""
        ...


def _check_ids(ids: tuple[str, ...]) -> None:
    if len(set(ids)) != len(ids):
        raise ValueError("query ids must be unique within an episode")
