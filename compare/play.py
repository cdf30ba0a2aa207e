"""One learner on one episode, refereed: the learner gets the support and the queries without answers, the referee compares.

An episode that fails (an IclError, scores that are not finite) counts as chance, 1 / labels, with its reason; it is never dropped.
Running out of memory is the machine's failure, and ends the comparison instead; what is finished is kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from compare.diverged import Diverged
from compare.memory import OutOfMemory
from compare.types import FloatArray, Footprint, IntArray, Learner, LearningEpisode, Predictor
from icl.metrics import predict
from tasks import IclError, keyed_rng

NORMALISED = 1e-6
"""How far the probabilities of a query may sum from 1."""


@dataclass(frozen=True)
class Played:
    """What happened in an episode."""

    episode: LearningEpisode
    scores: FloatArray | None
    """Log-probabilities (queries, labels); None when the episode failed."""
    predicted: IntArray | None
    """Column of the prediction, (queries,); None when the episode failed."""
    reason: str
    """Why it failed; empty when it did not."""
    footprint: Footprint | None
    adapt_seconds: float
    predict_seconds: float
    adapt_flops: int
    predict_flops: int

    @property
    def accuracy(self) -> float:
        """Share of right predictions, or chance."""
        if self.predicted is None:
            return 1.0 / len(self.episode.support.labels)
        return float((self.predicted == self.episode.targets).mean())

    @property
    def nll(self) -> float:
        """Mean negative log-probability of the right label, or that of a uniform guess. Natural logarithm."""
        if self.scores is None:
            return float(np.log(len(self.episode.support.labels)))
        return float(-self.scores[np.arange(len(self.scores)), self.episode.targets].mean())


def no_forward_passes() -> int:
    """FLOPs of a language model that is not used."""
    return 0


def play(
    learner: Learner,
    episode: LearningEpisode,
    seed: int,
    forward_flops: Callable[[], int] = no_forward_passes,
    clock: Callable[[], float] = time.perf_counter,
) -> Played:
    """`forward_flops` tells the operations of the language model so far, `clock` the seconds; differences are charged to the learner."""
    support, rng = episode.support, stream(learner, episode, seed)
    times, counts = [clock()], [forward_flops()]
    predictor: Predictor | None = None
    scores: FloatArray | None = None
    reason, wasted = "", 0
    try:
        predictor = learner.adapt(support, rng)
        times.append(clock())
        counts.append(forward_flops())
        scores = predictor.predict(episode.queries)
        reason = fault(scores, (len(episode.queries), len(support.labels)))
    except OutOfMemory as error:  # says nothing about the learner
        raise OutOfMemory(f"{learner.name} in episode {episode.id}: {error}") from error
    except (RuntimeError, MemoryError) as error:
        if not _no_memory(error):
            raise
        raise OutOfMemory(
            f"{learner.name} in episode {episode.id} needs more memory than there is, even in the smallest passes; use a smaller K, model "
            "or --batch-tokens"
        ) from error
    except IclError as error:
        reason = str(error)
        wasted = error.flops if isinstance(error, Diverged) else 0
    times.append(clock())
    counts.append(forward_flops())
    if len(times) < 3:  # it failed while adapting
        times.append(times[-1])
        counts.append(counts[-1])
    footprint = predictor.footprint if predictor is not None else None
    queries = len(episode.queries)
    return Played(
        episode=episode,
        scores=None if reason else scores,
        predicted=None if reason or scores is None else predict(scores, [query.id for query in episode.queries]),
        reason=reason,
        footprint=footprint,
        adapt_seconds=times[1] - times[0],
        predict_seconds=times[2] - times[1],
        adapt_flops=counts[1] - counts[0] + (footprint.flops if footprint else wasted),
        predict_flops=counts[2] - counts[1] + (predictor.query_flops(queries) if predictor is not None and not reason else 0),
    )


def stream(learner: Learner, episode: LearningEpisode, seed: int) -> np.random.Generator:
    """What a learner draws from while it adapts to an episode."""
    return keyed_rng(seed, "adapt", learner.name, episode.support.task, len(episode.support.examples), episode.id)


def _no_memory(error: Exception) -> bool:
    from icl.engine.memory import is_out_of_memory

    return is_out_of_memory(error)


def fault(scores: FloatArray, shape: tuple[int, int]) -> str:
    """What is wrong with a learner's scores, or nothing."""
    if scores.shape != shape:
        raise ValueError(f"a predictor must return scores of shape {shape}, but returned {scores.shape}")
    if np.isnan(scores).any() or np.isposinf(scores).any():
        broken = int((np.isnan(scores) | np.isposinf(scores)).any(axis=1).sum())
        return f"scores must be finite numbers, but those of {broken} of {shape[0]} queries are not"
    off = float(np.abs(np.exp(scores).sum(axis=1) - 1.0).max())
    if off > NORMALISED:
        raise ValueError(f"a predictor must return normalised log-probabilities, but probabilities sum to 1 only within {off:.2g}")
    return ""
