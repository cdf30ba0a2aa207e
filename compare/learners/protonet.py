"""Prototypical networks on frozen features (Snell et al. 2017).

    c_j = mean of f(x_i) over support examples of label j,    p(y = j | x) ∝ exp(−s ‖f(x) − c_j‖²)

f standardises the features of the language model with meta-train statistics (the support's where there are no other tasks), and either
leaves their length alone or divides by it (after SimpleShot, Wang et al. 2019); this choice and the scale s are searched. The paper trains
f from scratch; here the embedding is the language model's and is not trained. FLOPs: n · width to adapt, 3 · width · labels a query.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from compare import standardise
from compare.learners.types import Tools
from compare.standardise import Standardiser
from compare.types import FloatArray, Footprint, LearningEpisode, Support
from icl.calibration.types import normalise
from tasks import Query


@dataclass(frozen=True)
class Settings:
    """scale: s of the formula; unit_length: whether every vector is divided by its length."""

    scale: float
    unit_length: bool


GRID = (Settings(2.0, True), Settings(8.0, True), Settings(2.0, False), Settings(8.0, False))


@dataclass(frozen=True)
class ProtoNet:
    """See the module's opening."""

    tools: Tools
    settings: Settings
    standardiser: Standardiser | None = None
    name: str = "protonet"
    transductive: bool = False
    meta_flops: int = 0

    def meta_train(self, episodes: Sequence[LearningEpisode], rng: np.random.Generator) -> ProtoNet:
        """Takes mean and spread of the features from the other tasks' rows."""
        return replace(self, standardiser=standardise.fit(self.tools.features, episodes))

    def adapt(self, support: Support, rng: np.random.Generator) -> ProtoNetPredictor:
        """Means per label; `rng` is not used."""
        rows = self.tools.features.vectors(support.task, support.queries)
        standardiser = self.standardiser or standardise.from_support(rows)
        vectors = embed(standardiser(rows), self.settings)
        prototypes = np.stack([vectors[support.targets == j].mean(axis=0) for j in range(len(support.labels))])
        return ProtoNetPredictor(self.tools, support, self.settings, standardiser, prototypes)


@dataclass(frozen=True)
class ProtoNetPredictor:
    """prototypes: (labels, width)."""

    tools: Tools
    support: Support
    settings: Settings
    standardiser: Standardiser
    prototypes: FloatArray

    @property
    def footprint(self) -> Footprint:
        """Nothing is trained by gradients; the prototypes are stored as float32."""
        return Footprint(len(self.support.examples) * self.prototypes.shape[1], 0, 4 * self.prototypes.size)

    def predict(self, queries: Sequence[Query]) -> FloatArray:
        """See Predictor."""
        vectors = embed(self.standardiser(self.tools.features.vectors(self.support.task, queries)), self.settings)
        return log_softmax_of_distances(vectors, self.prototypes, self.settings.scale)

    def query_flops(self, queries: int) -> int:
        """A difference, a square and a sum per dimension and label."""
        return 3 * queries * int(self.prototypes.size)


def embed(vectors: FloatArray, settings: Settings) -> FloatArray:
    """(n, width) → (n, width); a zero vector stays zero."""
    if not settings.unit_length:
        return vectors
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: FloatArray = vectors / np.where(length > 0, length, 1.0)
    return unit


def log_softmax_of_distances(vectors: FloatArray, prototypes: FloatArray, scale: float) -> FloatArray:
    """(n, width), (labels, width) → (n, labels): normalised log-probabilities."""
    distances = ((vectors[:, None, :] - prototypes[None, :, :]) ** 2).sum(axis=2)
    return normalise(-scale * distances)


def build(tools: Tools, settings: Settings) -> ProtoNet:
    """An untrained network."""
    return ProtoNet(tools, settings)
