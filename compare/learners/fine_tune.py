"""Fine-tuning: every weight of the language model moves (as in Mosbach et al. 2023, who set it beside in-context learning).

    θ' = θ − Σ_t η_t AdamW(∇_θ L(support; θ)),     L of compare/training.py

Embeddings and a tied head move, too. Masters, their gradients and AdamW's moments are float32: 16 bytes per parameter while it trains.
What is kept is a whole model in the comparison's dtype, one at a time. FLOPs: three forward passes per step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from compare.adapted import Adapted, adapted, sharing
from compare.learners.types import Tools
from compare.learners.weights import WeightLearner
from compare.training import Schedule


@dataclass(frozen=True)
class Settings:
    """Learning rate and number of steps."""

    lr: float
    steps: int


GRID = (Settings(2e-5, 10), Settings(5e-6, 10), Settings(5e-5, 10), Settings(2e-5, 20))


@dataclass(frozen=True)
class EveryWeight:
    """The method; see the module's opening."""

    def check(self, model: Any, who: str) -> None:
        """Every model has weights."""

    def __call__(self, model: Any, seed: int) -> Adapted:
        """See Method; nothing is drawn."""
        return adapted(sharing(model, lambda name: True))


def build(tools: Tools, settings: Settings) -> WeightLearner:
    """An untrained learner."""
    return WeightLearner(tools, "fine-tune", EveryWeight(), Schedule(settings.lr, settings.steps))
