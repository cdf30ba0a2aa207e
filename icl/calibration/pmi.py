"""PMI_DC: q(y) ∝ p(y | x, C) / p(y | x₀, C), with x₀ the query side without its inputs, the domain premise (Holtzman et al. 2021).

arg max log p(y | x) − log p(y | premise). It asks how much the input raises an answer, and so takes away what an answer has by being a
common string. The premise is this template's query side with every input field empty, after the same demonstrations; a list of choices
stays as it is. So it also serves multiple choice, where every query has candidates of its own and a premise of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from icl.calibration.types import Array, LabelScores, Needs, divide, log_mean, normalise, prior_of


@dataclass(frozen=True)
class PMICalibration:
    """Divides by the probability after the domain premise."""

    name: str = "pmi"
    transductive: bool = False
    needs: Needs = "premise"
    fixed_candidates: bool = False

    def __call__(self, scores: LabelScores) -> Array:
        """(n_query, n_candidate) normalised log-probabilities. Raises IclError without `premise`."""
        premise = prior_of(self.name, scores.premise, "domain-premise")
        return divide(normalise(scores.logprob), log_mean(normalise(premise), axis=1)[:, 0, :])
