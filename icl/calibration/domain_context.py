"""Domain-context calibration (Fei et al. 2023): q(y) ∝ p(y | x, C) / p̄(y | C), with p̄ the mean over inputs of random in-domain words.

The same quotient as contextual calibration; only the inputs behind the prior differ: random words of the task's own texts, as many as a
text of average length has, instead of strings without content.
"""

from __future__ import annotations

from dataclasses import dataclass

from icl.calibration.types import Array, LabelScores, Needs, divide, log_mean, normalise, prior_of


@dataclass(frozen=True)
class DomainContextCalibration:
    """Divides by the mean probability after random words of the domain."""

    name: str = "domain-context"
    transductive: bool = False
    needs: Needs = "domain"
    fixed_candidates: bool = False

    def __call__(self, scores: LabelScores) -> Array:
        """(n_query, n_candidate) normalised log-probabilities. Raises IclError without `domain`."""
        words = prior_of(self.name, scores.domain, "random-word")
        return divide(normalise(scores.logprob), log_mean(normalise(words), axis=1)[:, 0, :])
