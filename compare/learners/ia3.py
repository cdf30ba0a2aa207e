"""(IA)³: keys, values and the inner activations of feed-forward layers are rescaled (Liu et al. 2022, T-Few), with peft.

    k' = l_k ⊙ W_k x,     v' = l_v ⊙ W_v x,     FFN(x) = W_down (l_ff ⊙ γ(W_up x)),     l = 1 at the start; only the l are trained

T-Few adds two losses (unlikelihood, length-normalised) to that of language modelling; here all learners share one loss, in which right and
wrong candidates compete as they do there (compare/training.py). FLOPs: those of that file; a prediction adds elementwise work alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from compare.adapted import Adapted, targets, with_adapter
from compare.learners.types import Tools
from compare.learners.weights import WeightLearner
from compare.training import Schedule

SCALED = (
    ("k_proj", "v_proj", "down_proj"),
    ("k_proj", "v_proj", "fc2"),
    ("k_proj", "v_proj", "c_proj"),
    ("qkv_proj", "down_proj"),
    ("query_key_value", "dense_4h_to_h"),
    ("c_attn", "c_proj"),
)
"""Names of key, value and second feed-forward layers in the architectures that transformers has; fused projections are scaled whole."""
ATTENTION = frozenset({"k_proj", "v_proj", "qkv_proj", "query_key_value", "c_attn"})
"""Those whose outputs are scaled; of the others the inputs are."""


@dataclass(frozen=True)
class Settings:
    """Learning rate and number of steps."""

    lr: float
    steps: int


GRID = (Settings(1e-2, 10), Settings(3e-3, 10), Settings(3e-2, 10), Settings(1e-2, 20))


@dataclass(frozen=True)
class Rescaling:
    """The method; see the module's opening."""

    def check(self, model: Any, who: str) -> None:
        """See Method."""
        targets(model, SCALED, who)

    def __call__(self, model: Any, seed: int) -> Adapted:
        """See Method; nothing is drawn."""
        from peft import IA3Config
        from transformers.pytorch_utils import Conv1D

        names = targets(model, SCALED, "ia3")
        inner = [name for name in names if name not in ATTENTION]
        if "c_attn" in names:  # GPT-2 calls an attention layer c_proj, too
            names, inner = ("c_attn", "mlp.c_proj"), ["mlp.c_proj"]
        transposed = any(isinstance(module, Conv1D) for module in model.modules())
        config = IA3Config(target_modules=list(names), feedforward_modules=inner, fan_in_fan_out=transposed)
        return with_adapter(model, config, seed)


def build(tools: Tools, settings: Settings) -> WeightLearner:
    """Raises IclError for a model without such layers."""
    return WeightLearner(tools, "ia3", Rescaling(), Schedule(settings.lr, settings.steps))
