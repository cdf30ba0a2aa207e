"""BitFit: only the bias terms move (Ben Zaken et al. 2022).

    b' = b − Σ_t η_t AdamW(∇_b L(support; b)),     for every bias of a layer; all weight matrices stay

Many architectures (Llama and its kin) have no biases: for them this is an error that says so, not a method with biases put in.
FLOPs: those of compare/training.py; a prediction costs what the model's own costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from compare.adapted import Adapted, adapted, sharing
from compare.learners.types import Tools
from compare.learners.weights import WeightLearner
from compare.training import Schedule
from tasks import IclError


@dataclass(frozen=True)
class Settings:
    """Learning rate and number of steps."""

    lr: float
    steps: int


GRID = (Settings(3e-3, 10), Settings(1e-3, 10), Settings(1e-2, 10), Settings(3e-3, 20))


@dataclass(frozen=True)
class Biases:
    """The method; see the module's opening."""

    def check(self, model: Any, who: str) -> None:
        """Raises IclError for a model without biases."""
        names = [name for name, _ in model.named_parameters()]
        if not any(map(is_bias, names)):
            kinds = ", ".join(sorted({name.rsplit(".", 2)[-2] for name in names}))
            raise IclError(
                f"{who} adapts parameters named 'bias', but {type(model).__name__} has none, only weights of {kinds}; "
                f"leave {who} out of --learners, or take a model with biases (GPT-2, Pythia)"
            )

    def __call__(self, model: Any, seed: int) -> Adapted:
        """See Method; nothing is drawn."""
        return adapted(sharing(model, is_bias))


def is_bias(name: str) -> bool:
    """Whether a parameter of that name is a bias."""
    return name.endswith(".bias")


def build(tools: Tools, settings: Settings) -> WeightLearner:
    """Raises IclError for a model without biases."""
    return WeightLearner(tools, "bitfit", Biases(), Schedule(settings.lr, settings.steps))
