"""LoRA: low-rank factors beside frozen projections (Hu et al. 2022), with peft.

    W x  becomes  W x + (α / r) B A x,     A (r, in) random, B (out, r) zero at the start; only A and B are trained

Query and value projections, as in the paper, or every linear module of the layers (Dettmers et al. 2023). The factors stay unmerged: added
to bf16 weights, small products would be rounded away.
FLOPs: those of compare/training.py; a prediction adds 2 r (in + out) per projection and token.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from compare.adapted import Adapted, linear_modules, targets, with_adapter
from compare.learners.types import Tools
from compare.learners.weights import WeightLearner
from compare.training import Schedule
from tasks.errors import IclError, unknown_name

QUERY_AND_VALUE = (("q_proj", "v_proj"), ("qkv_proj",), ("query_key_value",), ("c_attn",), ("query", "value"))
"""Names of these projections in the architectures that transformers has; fused ones are adapted whole."""
MODULES = ("query-value", "all-linear")
"""Which projections get factors."""


@dataclass(frozen=True)
class Settings:
    """Rank, learning rate and number of steps; α is twice the rank. Which modules have factors."""

    rank: int
    lr: float
    steps: int
    modules: str = MODULES[0]

    def __post_init__(self) -> None:
        if self.modules not in MODULES:
            raise unknown_name("modules", self.modules, MODULES)


GRID = (Settings(8, 1e-3, 5), Settings(8, 3e-3, 5))
"""Few steps, so that a comparison ends in minutes; what more would bring is in docs/learners.md."""


@dataclass(frozen=True)
class LoraFactors:
    """The method; see the module's opening."""

    rank: int
    modules: str = MODULES[0]
    last: int | None = None
    """Only in so many of the last layers; None: in all."""

    def check(self, model: Any, who: str) -> None:
        """See Method. Raises IclError for a rank beyond the model's width: factors of it would be greater than what they stand for."""
        self._names(model, who)
        width = int(model.config.get_text_config(decoder=True).hidden_size)
        if self.rank > width:
            raise IclError(f"rank of {who} must be at most {width}, the width of the model, but is {self.rank:,}")

    def __call__(self, model: Any, seed: int) -> Adapted:
        """See Method."""
        from peft import LoraConfig
        from transformers.pytorch_utils import Conv1D

        transposed = any(isinstance(module, Conv1D) for module in model.modules())
        names = self._names(model, "lora")
        layers = int(model.config.get_text_config(decoder=True).num_hidden_layers)
        config = LoraConfig(
            r=self.rank, lora_alpha=2 * self.rank, lora_dropout=0.0, target_modules=names, fan_in_fan_out=transposed, bias="none",
            layers_to_transform=None if self.last is None else list(range(max(0, layers - self.last), layers)),
        )  # fmt: skip
        return with_adapter(model, config, seed)

    def _names(self, model: Any, who: str) -> list[str]:
        return sorted(linear_modules(model)) if self.modules == "all-linear" else list(targets(model, QUERY_AND_VALUE, who))


def build(tools: Tools, settings: Settings) -> WeightLearner:
    """Raises IclError for a model without such projections."""
    return WeightLearner(tools, "lora", LoraFactors(settings.rank, settings.modules), Schedule(settings.lr, settings.steps))
