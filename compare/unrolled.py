"""An inner loop, one step at a time, with its loss and the size of its gradient.

    θ_0 = what was meta-learnt,   θ_{s+1} = adapt(θ_s) with one inner step

That is the inner loop itself: every method repeats one rule on the whole support set. What a step leaves alone (the learning rates of
Meta-SGD) is handed on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from compare.meta_method import Inner, Method
from compare.stepwise import norm

if TYPE_CHECKING:
    from torch import Tensor

    from compare.meta_gradient import Params


def unrolled(method: Method, inner: Inner, meta: Params, x: Tensor, y: Tensor, steps: int) -> Iterator[tuple[Params, float, float]]:
    """The network's parameters before the first step and after each of `steps`, their loss on the support, and the norm of its gradient
    over the parameters that the method moves.

    Values may be infinite or NaN where the loop explodes.
    """
    one, state = replace(inner, steps=1), meta
    for _ in range(steps + 1):
        following = method.adapt(one, state, x, y)
        now = {name: state[name] for name in following}
        yield (now, *_slope(method, inner, now, x, y))
        state = {**state, **following}


def _slope(method: Method, inner: Inner, params: Params, x: Tensor, y: Tensor) -> tuple[float, float]:
    """Loss, and the norm of its gradient."""
    import torch

    moved = {name: params[name].detach().clone().requires_grad_() for name in method.moved(list(params))}
    with torch.enable_grad():
        loss = inner.objective({**params, **moved}, x, y)
        gradients = torch.autograd.grad(loss, list(moved.values()))
    return float(loss.detach()), norm(gradients)
