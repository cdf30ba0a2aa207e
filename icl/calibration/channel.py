"""Channel (Min et al. 2022): q(y) ∝ p(x | y, C), how well each label explains the input, with all labels alike beforehand.

The prompt is turned round: demonstrations show label, then input, and the query's input is scored after each label. All labels score the
same tokens, so nothing depends on how label words are written or how common they are: they are only read. A label with several words
has the mean over them. The model's direct scores play no part.
"""

from __future__ import annotations

from dataclasses import dataclass

from icl.calibration.types import Array, LabelScores, Needs, normalise, prior_of


@dataclass(frozen=True)
class ChannelScores:
    """Shares out the likelihoods of the input."""

    name: str = "channel"
    transductive: bool = False
    needs: Needs = "channel"
    fixed_candidates: bool = True

    def __call__(self, scores: LabelScores) -> Array:
        """(n_query, n_candidate) normalised log-probabilities. Raises IclError without `channel`."""
        return normalise(prior_of(self.name, scores.channel, "channel")[:, 0, :])
