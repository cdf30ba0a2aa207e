"""LabelScores, the Calibrator protocol, and the arithmetic in log space that all calibrations share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from tasks.errors import IclError

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
Needs = Literal["", "content_free", "domain", "premise", "channel", "estimation", "divergence", "hidden"]
OF_LABELS = frozenset({"channel", "estimation", "divergence", "hidden"})
"""Needs that only a task with a label set can meet, and that more must be asked for than other query sides."""


@dataclass(frozen=True)
class Neighbours:
    """How far each query is from labelled examples after the same demonstrations. Raises ValueError for shapes that do not fit."""

    distance: Array
    """(n_query, n_example), not negative; +inf where a query has fewer examples than another."""
    column: IntArray
    """(n_query, n_example): candidate that is the example's label."""

    def __post_init__(self) -> None:
        if self.distance.ndim != 2 or self.distance.shape != self.column.shape:
            raise ValueError(f"distance and column must have one shape, but got {self.distance.shape} and {self.column.shape}")
        if not (self.distance >= 0).all() or not np.isfinite(self.distance).any(axis=1).all():
            raise IclError("distances must be numbers from 0 up, at least one per query; try --dtype float32")


@dataclass(frozen=True)
class LabelScores:
    """The raw scores of one episode, kept so that calibrations can be applied afterwards.

    Natural logarithms, float64. A candidate that a query does not have (multiple choice with fewer options) is -inf and stays so.
    Raises IclError for NaN or +inf, and for a query without any finite score; ValueError for shapes that do not fit.
    """

    logprob: Array
    """(n_query, n_candidate): summed log-probability of each candidate's span."""
    content_free: Array | None = None
    """(n_query, n_free, n_candidate): after content-free inputs with the same demonstrations; first axis 1 when all queries share them."""
    domain: Array | None = None
    """The same shape rule: the same after random words of the task's domain."""

    premise: Array | None = None
    """The same: after the query side without its inputs; first axis n_query where candidates or choices differ by query."""
    channel: Array | None = None
    """(n_query, 1, n_candidate): of the query's input, after each candidate."""
    estimation: Array | None = None
    """Of the shape of `content_free`: after inputs of the pool that are not shown."""
    divergence: Neighbours | None = None
    """Kullback-Leibler divergence of the next-token distributions of labelled examples from each query's."""
    hidden: Neighbours | None = None
    """Distance of hidden states from the centroid of each label: one "example" per label."""

    def __post_init__(self) -> None:
        if self.logprob.ndim != 2:
            raise ValueError(f"logprob must have shape (n_query, n_candidate), but got {self.logprob.shape}")
        _check_finite("logprob", self.logprob)
        queries, candidates = self.logprob.shape
        for name in ("content_free", "domain", "premise", "channel", "estimation"):
            prior = getattr(self, name)
            if prior is None:
                continue
            if prior.ndim != 3 or prior.shape[0] not in (1, queries) or prior.shape[1] < 1 or prior.shape[2] != candidates:
                raise ValueError(f"{name} must have shape (1 or {queries}, n_free >= 1, {candidates}), but got {prior.shape}")
            _check_finite(name, prior)
        for near in (self.divergence, self.hidden):
            if near is not None and len(near.distance) != queries:
                raise ValueError(f"neighbours must have {queries} rows, but got {len(near.distance)}")


class Calibrator(Protocol):
    """A correction of an episode's scores. Stateless; never sees the answers."""

    @property
    def name(self) -> str: ...

    @property
    def transductive(self) -> bool:
        """Whether a query's result depends on the other queries of its episode."""
        ...

    @property
    def needs(self) -> Needs:
        """Which extra scores it reads: nothing, or the name of a field of `LabelScores`."""
        ...

    @property
    def fixed_candidates(self) -> bool:
        """Whether all queries must have the same candidates, with the same meaning."""
        ...

    def __call__(self, scores: LabelScores) -> Array:
        """Calibrated log-probabilities (n_query, n_candidate), normalised over the candidates: logsumexp of each row is 0."""
        ...


def logsumexp(values: Array, axis: int) -> Array:
    """log Σ exp along an axis, kept as length 1; -inf where every value is -inf."""
    top = values.max(axis=axis, keepdims=True)
    shift = np.where(np.isneginf(top), 0.0, top)
    with np.errstate(divide="ignore"):
        total: Array = np.log(np.exp(values - shift).sum(axis=axis, keepdims=True)) + shift
    return total


def normalise(logprob: Array) -> Array:
    """Log-probabilities over the last axis: log softmax."""
    return logprob - logsumexp(logprob, axis=-1)


def log_mean(logprob: Array, axis: int) -> Array:
    """Logarithm of the mean probability along an axis (kept as length 1), without leaving log space: nothing underflows."""
    return logsumexp(logprob, axis) - float(np.log(logprob.shape[axis]))


def divide(logprob: Array, log_prior: Array) -> Array:
    """Log of p / prior, normalised over the last axis. What is impossible (-inf) stays impossible.

    Raises IclError where the prior excludes a candidate that the query has: the quotient has no value.
    """
    absent = np.isneginf(logprob)
    excluded = np.isneginf(np.broadcast_to(log_prior, logprob.shape)) & ~absent
    if excluded.any():
        query, candidate = np.argwhere(excluded)[0].tolist()
        raise IclError(
            f"a prior must give every candidate a positive probability, but candidate {candidate} of query {query} has 0; "
            "use another calibration"
        )
    return normalise(np.where(absent, -np.inf, logprob - np.where(absent, 0.0, log_prior)))


Extra = TypeVar("Extra")


def prior_of(calibration: str, prior: Extra | None, needs: str) -> Extra:
    """The extra scores of a calibration. Raises IclError when the run has not asked the model for them."""
    if prior is None:
        raise IclError(
            f"calibration '{calibration}' needs {needs} scores, but there are none; evaluate again with --calibration {calibration}"
        )
    return prior


def _check_finite(name: str, values: Array) -> None:
    if np.isnan(values).any() or np.isposinf(values).any():
        raise IclError(f"scores must be finite log-probabilities, but {name} holds NaN or +inf; try --dtype float32")
    if values.size == 0 or np.isneginf(values).all(axis=-1).any():
        raise IclError(f"every query needs a candidate with a finite score, but {name} (shape {values.shape}) has a row without one")
