"""Greedy decision trees (Breiman et al. 1984), by scikit-learn, task by task: split after split where squared error falls most."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compare.baselines.types import Values


@dataclass(frozen=True)
class GreedyTree:
    """A Baseline."""

    depth: int | None = None
    """None: until every leaf is pure."""
    signs: bool = False
    """Whether it is told that only the signs of inputs matter (Garg et al. 2022 give both)."""

    def __call__(self, x: Values, y: Values, asked: Values) -> Values:
        """See Baseline."""
        from sklearn.tree import DecisionTreeRegressor

        if self.signs:
            x, asked = np.sign(x), np.sign(asked)
        said = np.empty(asked.shape[:2])
        for t in range(len(x)):
            said[t] = DecisionTreeRegressor(max_depth=self.depth, random_state=0).fit(x[t], y[t]).predict(asked[t])
        return said
