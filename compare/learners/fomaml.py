"""First-order MAML (Finn et al. 2017, section 5.2).

    inner:  θ'_i = θ − α ∇_θ L(support_i; θ)        outer:  θ ← Adam(θ, mean_i ∇_θ' L(query_i; θ'_i))

The inner gradients count as constants, so the outer gradient is the query's at the adapted parameters, and no second derivative is taken.
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
    """Gradient descent on the support set, its gradients detached."""
    return descend(inner.objective, meta, [(x, y)] * inner.steps, dict.fromkeys(meta, inner.lr), first_order=True)


METHOD = Method("fomaml", adapt, second_order=False)
GRID = grid(outer_lr=(0.01,))


def build(tools: Tools, settings: Settings) -> HeadLearner:
    """An untrained meta-learner."""
    return HeadLearner(tools, settings, METHOD)
