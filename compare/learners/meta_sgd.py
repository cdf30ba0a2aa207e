"""Meta-SGD (Li et al. 2017): the learning rates of the inner loop are learnt, too, one per parameter; they may turn negative.

    inner:  θ'_i = θ − α ∘ ∇_θ L(support_i; θ)      outer:  (θ, α) ← Adam((θ, α), ∇_(θ, α) mean_i L(query_i; θ'_i))

The paper takes one inner step; with several, all of them share the rates. What the outer loop moves is one dict: a parameter's rates stand
under its name after `rate.`. All rates begin at the inner learning rate.
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

RATE = "rate."


def begin(inner: Inner, params: Params) -> Params:
    """Parameters and, under their names, their rates."""
    import torch

    return {**params, **{RATE + name: torch.full_like(value, inner.lr) for name, value in params.items()}}


def adapt(inner: Inner, meta: Params, x: Tensor, y: Tensor) -> Params:
    """Gradient descent with the learnt rates. The rates themselves are no part of what comes back."""
    params = {name: value for name, value in meta.items() if not name.startswith(RATE)}
    rates = {name: meta[RATE + name] for name in params}
    return descend(inner.objective, params, [(x, y)] * inner.steps, rates)


METHOD = Method("meta-sgd", adapt, second_order=True, begin=begin)
GRID = grid(outer_lr=(0.01,))


def build(tools: Tools, settings: Settings) -> HeadLearner:
    """An untrained meta-learner."""
    return HeadLearner(tools, settings, METHOD)
