"""How far the classes of an episode overlap in the features that metric learners compare. A property of the features, not of a learner.

    silhouette (Rousseeuw 1987):   mean over queries of (b − a) / max(a, b),   a: mean distance to the other queries of the same class,
                                   b: that to the queries of the nearest other class;   1: far apart, 0: mixed, below 0: nearer to others
    Fisher's ratio (1936):         tr S_between / tr S_within,   S_between = Σ_c n_c (m_c − m)(m_c − m)ᵀ,  S_within = Σ_i (x_i − m_c(i))(…)ᵀ
    nearer to a wrong class:       share of queries whose nearest mean of the support is that of another class

The first two read the answers of the queries and no support. The third is the error of the nearest mean, so it also holds the luck of the
draw of the support. Distances are Euclidean, on standardised features (compare/standardise.py), without a metric learner's trained map.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from compare.types import FloatArray, IntArray


@dataclass(frozen=True)
class Overlap:
    """Of one episode at one K."""

    nearer_to_wrong: float
    silhouette: float | None
    """None when the queries are of one class, or each of a class of its own."""
    fisher: float | None
    """None when the queries are of one class, or do not differ within any."""

    def to_json(self) -> dict[str, float | None]:
        """Plain values."""
        return asdict(self)


def overlap(support: FloatArray, support_y: IntArray, queries: FloatArray, query_y: IntArray) -> Overlap:
    """`support`: (n, width), `support_y`: (n,) class numbers from 0, each of them there; `queries`: (m, width), `query_y`: (m,)."""
    means = np.stack([support[support_y == c].mean(axis=0) for c in range(int(support_y.max()) + 1)])  # (classes, width)
    distances = ((queries[:, None, :] - means[None, :, :]) ** 2).sum(axis=2)  # (m, classes)
    return Overlap(float((distances.argmin(axis=1) != query_y).mean()), _silhouette(queries, query_y), _fisher(queries, query_y))


def _silhouette(x: FloatArray, y: IntArray) -> float | None:
    from sklearn.metrics import silhouette_score

    return float(silhouette_score(x, y)) if 1 < len(np.unique(y)) < len(y) else None


def _fisher(x: FloatArray, y: IntArray) -> float | None:
    centre = x.mean(axis=0)
    between = within = 0.0
    for c in np.unique(y):
        rows = x[y == c]
        mean = rows.mean(axis=0)
        between += len(rows) * float(((mean - centre) ** 2).sum())
        within += float(((rows - mean) ** 2).sum())
    return between / within if within > 0 and len(np.unique(y)) > 1 else None
