"""Linear probe: logistic regression with an L2 penalty on the frozen features of the support set (Alain & Bengio 2017).

    W, b = arg min  C Σ_i −log softmax(W x_i + b)[y_i]  +  ½ ‖W‖²

Features are standardised with meta-train statistics where there are other tasks, else with the support's (compare/standardise.py); that
is all that it takes from other tasks. FLOPs of adapting: 6 · n · width · labels per iteration of L-BFGS (forward 2, gradient 4).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from compare import standardise
from compare.learners.types import Tools
from compare.standardise import Standardiser
from compare.types import FloatArray, Footprint, LearningEpisode, Support
from tasks import Query

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Settings:
    """C: inverse strength of the penalty."""

    C: float


GRID = (Settings(1.0), Settings(0.1), Settings(10.0), Settings(100.0))

MAX_ITERATIONS = 1000


@dataclass(frozen=True)
class LinearProbe:
    """See the module's opening."""

    tools: Tools
    settings: Settings
    standardiser: Standardiser | None = None
    name: str = "linear-probe"
    transductive: bool = False
    meta_flops: int = 0

    def meta_train(self, episodes: Sequence[LearningEpisode], rng: np.random.Generator) -> LinearProbe:
        """Takes mean and spread of the features from the other tasks' rows, without their labels."""
        return replace(self, standardiser=standardise.fit(self.tools.features, episodes))

    def learnt(self) -> dict[str, Tensor]:
        """See Learns."""
        return standardise.to_tensors(self.standardiser)

    def with_learnt(self, learnt: Mapping[str, Tensor], meta_flops: int) -> LinearProbe:
        """See Learns."""
        return replace(self, standardiser=standardise.from_tensors(learnt)[0], meta_flops=meta_flops)

    def adapt(self, support: Support, rng: np.random.Generator) -> LinearProbePredictor:
        """Fits the regression; convex, so `rng` is not used."""
        from sklearn.linear_model import LogisticRegression

        rows = self.tools.features.vectors(support.task, support.queries)
        standardiser = self.standardiser or standardise.from_support(rows)
        model = LogisticRegression(C=self.settings.C, max_iter=MAX_ITERATIONS)
        model.fit(standardiser(rows), support.targets)
        return LinearProbePredictor(self.tools, support, standardiser, model)


@dataclass(frozen=True)
class LinearProbePredictor:
    """A fitted regression."""

    tools: Tools
    support: Support
    standardiser: Standardiser
    model: Any

    @property
    def footprint(self) -> Footprint:
        """Weights and biases, stored as float32."""
        width, labels = len(self.standardiser.mean), len(self.support.labels)
        parameters = self.model.coef_.size + self.model.intercept_.size
        return Footprint(6 * len(self.support.examples) * width * labels * int(max(self.model.n_iter_)), parameters, 4 * parameters)

    def predict(self, queries: Sequence[Query]) -> FloatArray:
        """See Predictor."""
        rows = self.standardiser(self.tools.features.vectors(self.support.task, queries))
        log_probs: FloatArray = self.model.predict_log_proba(rows)
        return log_probs

    def query_flops(self, queries: int) -> int:
        """One product with the weights."""
        return 2 * queries * int(self.model.coef_.size)


def build(tools: Tools, settings: Settings) -> LinearProbe:
    """An untrained probe."""
    return LinearProbe(tools, settings)
