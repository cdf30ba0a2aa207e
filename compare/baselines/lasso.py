"""Lasso without an intercept (Tibshirani 1996), by scikit-learn's coordinate descent: min |y − Xw|² / 2n + α |w|₁, task by task."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from compare.baselines.types import Values


@dataclass(frozen=True)
class Lasso:
    """A Baseline."""

    alpha: float = 0.01
    """Garg et al. 2022 try 1, 0.1, 0.01, 0.001 and 0.0001."""

    def __call__(self, x: Values, y: Values, asked: Values) -> Values:
        """See Baseline."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import Lasso as OfOneTask

        said = np.empty(asked.shape[:2])
        with warnings.catch_warnings():
            # With fewer points than dimensions and a small α descent creeps; where it stops is the answer that is compared.
            warnings.simplefilter("ignore", ConvergenceWarning)
            for t in range(len(x)):
                said[t] = OfOneTask(alpha=self.alpha, fit_intercept=False, max_iter=10_000).fit(x[t], y[t]).predict(asked[t])
        return said
