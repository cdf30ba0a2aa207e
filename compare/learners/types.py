"""What every learner's file offers: settings, a grid of them, and a way to build the learner from the shared tools."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from compare.features import Features
from compare.types import Learner
from icl.encode import Encoder
from icl.engine.types import Engine
from prompts import PromptBuilder


@dataclass
class Ledger:
    """What adapted copies of the language model have computed; the model itself is counted by its own engine."""

    flops: int = 0


@dataclass(frozen=True)
class Tools:
    """What learners share: one model in memory, one tokenizer, one set of features, one template per task."""

    features: Features
    engine: Engine
    encoder: Encoder
    builders: Mapping[str, PromptBuilder]
    """Task → its prompts."""
    window: int
    """Longest prompt of the model, in tokens."""
    calibration: str
    """Of in-context learning."""
    meta_steps: int
    """Outer steps of gradient-based meta-learners."""
    ledger: Ledger = field(default_factory=Ledger)


@dataclass(frozen=True)
class Family:
    """One entry of `LEARNERS`."""

    build: Callable[[Tools, Any], Learner]
    """Tools and one entry of the grid → an untrained learner."""
    grid: tuple[Any, ...]
    """Settings that the search tries on meta-validation episodes; the first is used where there are none."""
    uses_features: bool
    """Whether it reads the model's hidden states, which it is then charged for."""
    needs_meta_train: bool
    """Whether it cannot work without other tasks."""
    shows_support: bool = False
    """Whether the whole support stands in its prompts, which must then fit the context window."""

    @property
    def reads_other_tasks(self) -> bool:
        """For meta-training, for the scale of features, or for choosing between settings."""
        return self.uses_features or self.needs_meta_train or len(self.grid) > 1
