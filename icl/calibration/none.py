"""No correction: q(y) = p(y) / Σ p(y'), the candidates' probabilities (product over the span's tokens) shared out among them."""

from __future__ import annotations

from dataclasses import dataclass

from icl.calibration.types import Array, LabelScores, Needs, normalise


@dataclass(frozen=True)
class NoCalibration:
    """Normalises over the candidates and does nothing else."""

    name: str = "none"
    transductive: bool = False
    needs: Needs = ""
    fixed_candidates: bool = False

    def __call__(self, scores: LabelScores) -> Array:
        """(n_query, n_candidate) normalised log-probabilities."""
        return normalise(scores.logprob)
