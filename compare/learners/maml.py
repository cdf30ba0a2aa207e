"""Model-agnostic meta-learning, second order (Finn et al. 2017, algorithm 1).

    inner:  θ'_i = θ − α ∇_θ L(support_i; θ)   (`inner_steps` times)        outer:  θ ← Adam(θ, ∇_θ mean_i L(query_i; θ'_i))

The outer gradient runs through the inner steps, second derivatives included (compare/meta_gradient.py). All parameters of the network are
adapted: of a linear head on the language model's frozen features, or of a small network on them; the search chooses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from compare.learners.head import HeadLearner, Settings, grid
from compare.learners.types import Tools
from compare.meta_gradient import descend
from compare.meta_method import Inner, Method

if TYPE_CHECKING:
    from torch import Tensor

    from compare.meta_gradient import Params


def adapt(inner: Inner, meta: Params, x: Tensor, y: Tensor) -> Params:
    """Gradient descent on the support set from the meta-learnt start."""
    return descend(inner.objective, meta, [(x, y)] * inner.steps, dict.fromkeys(meta, inner.lr))


METHOD = Method("maml", adapt, second_order=True)
GRID = grid(outer_lr=(0.01,))


def build(tools: Tools, settings: Settings) -> HeadLearner:
    """An untrained meta-learner."""
    return HeadLearner(tools, settings, METHOD)
