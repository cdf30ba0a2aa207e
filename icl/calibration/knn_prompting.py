"""kNN prompting (Xu et al. 2023): the k nearest anchors vote, nearest by KL(p(· | x_i, C) ‖ p(· | x, C)) over the whole vocabulary.

q(y) = (votes(y) + 1/N) / (k + 1), with N labels and votes(y) the number of the k = 3 nearest anchors whose label is y. Anchors x_i are
labelled examples of the pool that are not shown; p(· | x_i, C) is the distribution of the token in the place of the answer. Label words
play no part: the method also uses what the model says elsewhere. The paper stops at the arg max of the votes; one vote is shared out here
so that no label has probability 0, and among equal votes the nearest anchor decides (the authors' code: the first label).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from icl.calibration.types import Array, LabelScores, Needs, normalise, prior_of

NEAREST = 3
"""k, as in the paper's experiments."""
TIE = 1e-6
"""What the nearest anchor's vote counts more: beyond the 1e-9 within which predictions are tied, and nothing to a probability."""


@dataclass(frozen=True)
class KNNPrompting:
    """Votes of the anchors whose next-token distributions are nearest."""

    name: str = "knn-prompting"
    transductive: bool = False
    needs: Needs = "divergence"
    fixed_candidates: bool = True

    def __call__(self, scores: LabelScores) -> Array:
        """(n_query, n_candidate) normalised log-probabilities. Raises IclError without `divergence`."""
        near = prior_of(self.name, scores.divergence, "anchors'")
        candidates = scores.logprob.shape[1]
        votes = np.full(scores.logprob.shape, 1 / candidates)
        nearest = np.argsort(near.distance, axis=1, kind="stable")[:, :NEAREST]
        for q, anchors in enumerate(nearest):
            for place, anchor in enumerate(anchors):
                if np.isfinite(near.distance[q, anchor]):
                    votes[q, near.column[q, anchor]] += 1 if place else 1 + TIE
        return normalise(np.log(votes))
