"""What the order of the same demonstrations is worth: the spread of accuracy over orders within a draw (Lu et al. 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icl.intervals import Interval, t_interval


@dataclass(frozen=True)
class OrderSpread:
    """Best minus worst order of a draw, mean over draws and wordings."""

    orders: int
    """It grows with their number: compare at equal numbers only."""
    spread: float
    ci95: Interval | None
    """Student's t over draws."""
    largest: float
    """Of all draws and wordings."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"orders": self.orders, "spread": self.spread, "ci95": list(self.ci95) if self.ci95 else None, "largest": self.largest}


def order_spread(accuracy: NDArray[np.float64]) -> OrderSpread | None:
    """`accuracy`: (draw, order, template, format, words); None for one order."""
    orders = accuracy.shape[1]
    if orders < 2:
        return None
    spreads = accuracy.max(axis=1) - accuracy.min(axis=1)
    of_draws = spreads.reshape(len(spreads), -1).mean(axis=1)
    return OrderSpread(orders, float(of_draws.mean()), t_interval(of_draws), float(spreads.max()))
