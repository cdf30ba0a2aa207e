"""Prompt tuning: a few virtual tokens before every prompt, whose embeddings are trained (Lester et al. 2021).

    p(y | x) ∝ p_LM(word(y) | P_1 … P_m, query side of x),     only P (m, width) is trained; it starts as embeddings of random words

Virtual tokens are ids beyond the vocabulary, looked up in a table of their own. So they are ordinary nodes of the token tree, read once
for all queries; peft's version hands the model embeddings instead of ids, which no tree can share, and is not used for that reason.
FLOPs: those of compare/training.py, virtual tokens counted as tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from compare.adapted import Adapted, adapted, sharing
from compare.learners.types import Tools
from compare.learners.weights import WeightLearner
from compare.training import Schedule

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Settings:
    """m of the formula, learning rate and number of steps."""

    tokens: int
    lr: float
    steps: int


GRID = (Settings(8, 3e-2, 10), Settings(8, 1e-2, 10), Settings(8, 1e-1, 10), Settings(8, 3e-2, 20))


@dataclass(frozen=True)
class VirtualTokens:
    """The method; see the module's opening."""

    tokens: int

    def check(self, model: Any, who: str) -> None:
        """Every model has input embeddings."""

    def __call__(self, model: Any, seed: int) -> Adapted:
        """See Method."""
        import torch

        copied = sharing(model)
        own = copied.get_input_embeddings()
        size = own.weight.shape[0]
        start = torch.randint(size, (self.tokens,), generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            rows = own(start.to(own.weight.device))
        copied.set_input_embeddings(_extended(own, rows, size))
        return adapted(copied.eval(), tuple(range(size, size + self.tokens)))


def _extended(own: Any, rows: Tensor, size: int) -> Any:
    """A module that looks ids below `size` up in `own` and the others in a trainable copy of `rows`."""
    import torch

    class Extended(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.own = own
            self.virtual = torch.nn.Embedding(rows.shape[0], rows.shape[1], _weight=rows.clone())

        @property
        def weight(self) -> Tensor:
            """The vocabulary's, for whoever asks a model for its embeddings."""
            weight: Tensor = self.own.weight
            return weight

        def forward(self, ids: Tensor) -> Tensor:
            beyond = ids >= size
            words = self.own(ids.masked_fill(beyond, 0))
            return torch.where(beyond[..., None], self.virtual((ids - size).clamp(min=0)), words)

    return Extended()


def build(tools: Tools, settings: Settings) -> WeightLearner:
    """An untrained learner."""
    return WeightLearner(tools, "prompt-tuning", VirtualTokens(settings.tokens), Schedule(settings.lr, settings.steps))
