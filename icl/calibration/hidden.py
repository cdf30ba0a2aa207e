"""Hidden calibration (Cho et al. 2025): q(y) ∝ exp(−‖h(x, C) − c_y‖), c_y the mean of h(x_i, C) over the anchors x_i of label y.

h is the last hidden state at the position that writes the answer, Euclidean distance. Anchors are labelled examples of the pool that are
not shown. The model's scores of the label words play no part. The arg max is the nearest centroid, which is the method; the softmax of
distances follows the authors' code. Hidden states have no scale of their own, so it is no probability to rely on: read NLL and ECE so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from icl.calibration.types import Array, LabelScores, Needs, normalise, prior_of


@dataclass(frozen=True)
class HiddenCalibration:
    """Nearest centroid of hidden states."""

    name: str = "hidden"
    transductive: bool = False
    needs: Needs = "hidden"
    fixed_candidates: bool = True

    def __call__(self, scores: LabelScores) -> Array:
        """(n_query, n_candidate) normalised log-probabilities. Raises IclError without `hidden`."""
        near = prior_of(self.name, scores.hidden, "hidden-state")
        negative = np.full(scores.logprob.shape, -np.inf)
        np.put_along_axis(negative, near.column, -near.distance, axis=1)
        return normalise(negative)
