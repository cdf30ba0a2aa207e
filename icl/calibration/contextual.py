"""Contextual calibration (Zhao et al. 2021): q(y) ∝ p(y | x, C) / p̄(y | C), with p̄ the mean over the inputs 'N/A', '[MASK]' and ''.

This is the paper's W = diag(p̄)⁻¹, b = 0. Each content-free distribution is normalised over the candidates before the mean, so that each
counts alike; the authors' code takes the mean of the unnormalised probabilities and normalises once, which lets the input that puts most
mass on the candidates weigh most. The paper stops at the arg max of W p; here the result is normalised again, so that it is a distribution.
"""

from __future__ import annotations

from dataclasses import dataclass

from icl.calibration.types import Array, LabelScores, Needs, divide, log_mean, normalise, prior_of


@dataclass(frozen=True)
class ContextualCalibration:
    """Divides by the mean probability after content-free inputs."""

    name: str = "contextual"
    transductive: bool = False
    needs: Needs = "content_free"
    fixed_candidates: bool = False

    def __call__(self, scores: LabelScores) -> Array:
        """(n_query, n_candidate) normalised log-probabilities. Raises IclError without `content_free`."""
        free = prior_of(self.name, scores.content_free, "content-free")
        return divide(normalise(scores.logprob), log_mean(normalise(free), axis=1)[:, 0, :])
