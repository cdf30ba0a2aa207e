"""Batch calibration (Zhou et al. 2024): q(y | x_i) ∝ p(y | x_i, C) / p̂(y | C), p̂(y | C) = (1/M) Σ_i p(y | x_i, C) over the M queries.

What the paper writes (checked in a published digest that quotes it, not in the PDF): eq. 1 is that mean, "marginalizing the output score";
eq. 2 is arg max [p(y | x_i, C) − p̂(y | C)], where p was introduced as "the logits"; and for domain-context calibration it calls this
subtraction in logit space equivalent to dividing by the prior. Dividing by a mean probability is log p − log mean p; subtracting a mean
logit is log p − mean log p. They are not the same, and public re-implementations do both. `batch` is the marginal over x that eq. 1 names
(a probability, divided by); `batch-log` is eq. 2 read literally with log-probabilities for p. The constant between logits and normalised
log-probabilities of a query shifts all candidates alike, so it changes neither. Both see the whole query batch: they are transductive, and
they gain where the queries are balanced over the labels, since they push the mean prediction towards uniform.
"""

from __future__ import annotations

from dataclasses import dataclass

from icl.calibration.types import Array, LabelScores, Needs, divide, log_mean, normalise


@dataclass(frozen=True)
class BatchCalibration:
    """Divides by the mean probability over the queries of the episode."""

    name: str = "batch"
    transductive: bool = True
    needs: Needs = ""
    fixed_candidates: bool = True

    def __call__(self, scores: LabelScores) -> Array:
        """(n_query, n_candidate) normalised log-probabilities; a batch of one query gives the uniform distribution."""
        logprob = normalise(scores.logprob)
        return divide(logprob, log_mean(logprob, axis=0))


@dataclass(frozen=True)
class BatchLogCalibration:
    """Subtracts the mean log-probability over the queries of the episode: divides by the geometric mean."""

    name: str = "batch-log"
    transductive: bool = True
    needs: Needs = ""
    fixed_candidates: bool = True

    def __call__(self, scores: LabelScores) -> Array:
        """(n_query, n_candidate) normalised log-probabilities. Raises IclError where a query lacks a candidate."""
        logprob = normalise(scores.logprob)
        return divide(logprob, logprob.mean(axis=0, keepdims=True))
