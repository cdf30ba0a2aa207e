"""What a baseline is. The ground: imports nothing from its siblings."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

Baseline = Callable[[Values, Values, Values], Values]
"""Shown inputs (tasks, n, d), their targets (tasks, n) with n ≥ 1, asked inputs (tasks, q, d) → what is said, (tasks, q)."""
