"""Prototypical calibration (Han et al. 2023): q(y) = Σ over clusters matched to y of the posterior of a Gaussian mixture over p(· | x, C).

A mixture of N Gaussians, one per label, is fitted by EM to the label-probability vectors of an estimation set: inputs of the pool that are
not shown, without their labels. Cluster n stands for label φ(n), φ the one-to-one matching of largest Σ_n μ_n[φ(n)] (Hungarian method);
of ten fits from different beginnings the one with the largest sum is taken, and q(φ(n)) = α_n N(p; μ_n, Σ_n) / Σ_m α_m N(p; μ_m, Σ_m).
So the decision boundary lies where the model's answers part, and not at ½. Vectors of probabilities lie in a plane, which makes every Σ_n
singular, and a cluster may shrink to a point: 10⁻⁴ is added to the diagonals, a standard deviation of one percent. Beginnings are keyed by
their number alone, and columns are fitted in an order of their own: equal scores give equal results, whatever the order of the labels.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icl.calibration.types import Array, LabelScores, Needs, logsumexp, normalise, prior_of

FITS = 10
STEPS = 200
FLOOR = 1e-4
"""Least variance of a probability within a cluster."""


@dataclass(frozen=True)
class PrototypicalCalibration:
    """Clusters of label probabilities, matched to labels."""

    name: str = "prototypical"
    transductive: bool = False
    needs: Needs = "estimation"
    fixed_candidates: bool = True

    def __call__(self, scores: LabelScores) -> Array:
        """(n_query, n_candidate) normalised log-probabilities. Raises IclError without `estimation`."""
        known = np.exp(normalise(prior_of(self.name, scores.estimation, "estimation")))  # (1 or n_query, n_free, n_candidate)
        p = np.exp(normalise(scores.logprob))
        if len(known) == 1:
            return posteriors(known[0], p)
        return np.concatenate([posteriors(of, row[None]) for of, row in zip(known, p, strict=True)])


def posteriors(known: Array, p: Array) -> Array:
    """Log-posteriors of the labels' clusters, (queries, labels), from probability vectors of the estimation set and of queries."""
    columns = np.lexsort(known)
    mixture, label = fitted(known[:, columns])
    joint = np.stack(
        [
            np.log(weight) + np.log(np.diag(root)).sum() - (((p[:, columns] - mean) @ root) ** 2).sum(axis=1) / 2
            for weight, mean, root in zip(mixture.weights_, mixture.means_, mixture.precisions_cholesky_, strict=True)
        ],
        axis=1,
    )  # (queries, clusters), but for the (2π)^(-N/2) that all clusters share
    out = np.empty_like(p)
    out[:, columns[label]] = joint - logsumexp(joint, axis=1)
    return out


def fitted(known: Array) -> tuple[Any, NDArray[np.int64]]:
    """The mixture whose matching is best, and the label of each of its clusters. Ties fall to the earlier beginning."""
    from scipy.optimize import linear_sum_assignment
    from sklearn.mixture import GaussianMixture

    best: tuple[float, Any, NDArray[np.int64]] | None = None
    for number in range(FITS):
        mixture = GaussianMixture(known.shape[1], reg_covar=FLOOR, max_iter=STEPS, init_params="k-means++", random_state=number)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a fit that has not settled after so many steps is one of ten
            mixture.fit(known)
        clusters, label = linear_sum_assignment(mixture.means_, maximize=True)
        matched = round(float(mixture.means_[clusters, label].sum()), 9)
        if best is None or matched > best[0]:
            best = matched, mixture, label
    assert best is not None
    return best[1:]
