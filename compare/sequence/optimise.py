"""Adam for readers: the rate rises in a straight line, then falls along half a cosine to 0; long gradients are cut.

    rate(t) = lr · t / warm                                       for t ≤ warm
            = lr · ½ (1 + cos(π (t − warm) / (total − warm)))     after it
    g ← g · min(1, clip / |g|)

A transformer that starts at its full rate stays on the plateau where it says the mean of y.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from compare.outer import Adam, OuterState

if TYPE_CHECKING:
    from compare.meta_gradient import Params


@dataclass(frozen=True)
class WarmAdam:
    """See the module's opening. An Optimiser."""

    lr: float
    total: int
    """Steps of the whole training."""
    warm: int = 500
    clip: float = 1.0

    def rate(self, t: int) -> float:
        """Of step t = 1, 2, …"""
        warm = min(self.warm, self.total)
        if t <= warm:
            return self.lr * t / warm
        return self.lr * 0.5 * (1 + math.cos(math.pi * (t - warm) / (self.total - warm)))

    def start(self, params: Params) -> OuterState:
        """See Optimiser."""
        return Adam(self.lr).start(params)

    def step(self, state: OuterState, gradient: Params) -> OuterState:
        """See Optimiser."""
        import torch

        # By name: a sum of floats depends on its order, and a state that was read from a file has another than a new one.
        norm = float(torch.stack([gradient[name].norm() for name in sorted(gradient)]).norm())
        short = min(1.0, self.clip / norm) if norm else 1.0
        return Adam(self.rate(int(state.step) + 1)).step(state, {name: short * value for name, value in gradient.items()})
