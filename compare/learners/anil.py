"""Almost no inner loop (Raghu et al. 2020): the inner loop moves the head only, the outer loop the body as well.

    inner:  φ'_i = φ − α ∇_φ L(support_i; θ, φ)     outer:  (θ, φ) ← Adam((θ, φ), ∇_(θ, φ) mean_i L(query_i; θ, φ'_i))

θ is the body, φ the head. The body's features of a support set are computed once, whatever the number of inner steps: that is what makes
it cheaper than MAML. On frozen features the body is a small network, so only backbones with one are searched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from compare.backbones.types import head_names
from compare.learners.head import HeadLearner, Settings, grid
from compare.learners.types import Tools
from compare.meta_gradient import Objective, descend
from compare.meta_method import Inner, Method

if TYPE_CHECKING:
    from torch import Tensor

    from compare.meta_gradient import Params


def adapt(inner: Inner, meta: Params, x: Tensor, y: Tensor) -> Params:
    """Gradient descent of the head on the body's features of the support set."""
    features = inner.backbone.body(meta, x)
    head = Objective(inner.backbone.head, inner.loss, inner.rows)
    return descend(head, meta, [(features, y)] * inner.steps, dict.fromkeys(head_names(meta), inner.lr))


METHOD = Method("anil", adapt, second_order=True, moved=head_names)
GRID = grid(outer_lr=(0.01, 0.03), backbones=("mlp",))


def build(tools: Tools, settings: Settings) -> HeadLearner:
    """An untrained meta-learner."""
    return HeadLearner(tools, settings, METHOD)
