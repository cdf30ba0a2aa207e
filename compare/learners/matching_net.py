"""Matching networks (Vinyals et al. 2016), without full-context embeddings.

    p(y | x) = Σ_i a(x, x_i) 1[y_i = y],    a(x, x_i) = softmax_i s · cos(f(x), f(x_i))

A query attends to the examples of the support and answers with their labels. f is the language model's frozen embedding, with or without a
meta-trained map (compare/learners/metric.py). The paper's attention has s = 1; a larger s attends to fewer examples, and is searched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from compare.learners.metric import MetricLearner, Rule, Settings, one_hot
from compare.learners.types import Tools

if TYPE_CHECKING:
    from torch import Tensor

    from compare.meta_gradient import Params

GRID = (Settings(10.0, False), Settings(1.0, False), Settings(10.0, True), Settings(1.0, True))


def remember(vectors: Tensor, y: Tensor, labels: int) -> Params:
    """The support itself, (n, width), and its labels, (n, labels)."""
    return {"vectors": vectors, "members": one_hot(y, labels).to(vectors.dtype)}


def compare(kept: Params, queries: Tensor, scale: float) -> Tensor:
    """(m, labels): log of the attention that falls on each label's examples."""
    attention = (scale * queries @ kept["vectors"].T).softmax(dim=-1)
    return (attention @ kept["members"]).clamp_min(1e-300).log()


RULE = Rule("matching-net", remember, compare)


def build(tools: Tools, settings: Settings) -> MetricLearner:
    """An untrained network."""
    return MetricLearner(tools, settings, RULE)
