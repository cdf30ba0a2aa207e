"""Errors of a baseline along sequences of points: after none, one, two, … shown pairs."""

from __future__ import annotations

import numpy as np

from compare.baselines.types import Baseline, Values
from tasks.functions import Points


def errors_along(baseline: Baseline, points: Points) -> Values:
    """Squared errors, (functions, n): position i is asked after i shown pairs. After none, 0 is said: the mean of y."""
    x, y, asked_x, asked_y = points
    said = np.zeros_like(asked_y)
    for i in range(1, x.shape[1]):
        said[:, i] = baseline(x[:, :i], y[:, :i], asked_x[:, i : i + 1])[:, 0]
    squared: Values = (said - asked_y) ** 2
    return squared
