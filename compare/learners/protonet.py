"""Prototypical networks (Snell et al. 2017).

    c_j = mean of f(x_i) over support examples of label j,    p(y = j | x) ∝ exp(−s ‖f(x) − c_j‖²)

f is the language model's frozen embedding, with or without a meta-trained map (compare/learners/metric.py); vectors keep their length or
are divided by it (after SimpleShot, Wang et al. 2019). The scale s does not change which label is likeliest, only how likely.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from compare.learners.metric import MetricLearner, Rule, Settings, one_hot
from compare.learners.types import Tools

if TYPE_CHECKING:
    from torch import Tensor

    from compare.meta_gradient import Params

GRID = (Settings(8.0, False), Settings(2.0, False, unit_length=False), Settings(8.0, True), Settings(2.0, True, unit_length=False))


def remember(vectors: Tensor, y: Tensor, labels: int) -> Params:
    """Means per label: (labels, width)."""
    members = one_hot(y, labels).to(vectors.dtype)
    return {"vectors": members.T @ vectors / members.sum(dim=0)[:, None]}


def compare(kept: Params, queries: Tensor, scale: float) -> Tensor:
    """(m, labels): minus the scaled squared distances."""
    means = kept["vectors"]
    lengths = (queries * queries).sum(dim=1)[:, None] + (means * means).sum(dim=1)[None, :]
    return -scale * (lengths - 2 * queries @ means.T)


RULE = Rule("protonet", remember, compare)


def build(tools: Tools, settings: Settings) -> MetricLearner:
    """An untrained network."""
    return MetricLearner(tools, settings, RULE)
