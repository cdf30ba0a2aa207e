"""Learners of functions that were not meta-trained: closed forms and classics. One kind per file, one entry per baseline here."""

from __future__ import annotations

from compare.baselines.along import errors_along
from compare.baselines.lasso import Lasso
from compare.baselines.linear import Ridge, averaging, least_squares
from compare.baselines.neighbours import NearestNeighbours
from compare.baselines.network import TrainedNetwork
from compare.baselines.tree import GreedyTree
from compare.baselines.types import Baseline

BASELINES: dict[str, Baseline] = {
    "least-squares": least_squares,
    "ridge": Ridge(),
    "averaging": averaging,
    "lasso": Lasso(),
    "k-nearest": NearestNeighbours(),
    "trained-network": TrainedNetwork(),
    "greedy-tree": GreedyTree(),
}
"""Name → baseline with its ordinary settings."""

__all__ = [
    "BASELINES",
    "Baseline",
    "GreedyTree",
    "Lasso",
    "NearestNeighbours",
    "Ridge",
    "TrainedNetwork",
    "averaging",
    "errors_along",
    "least_squares",
]
