"""What every learner's file offers: settings, a grid of them, and a way to build the learner from the shared tools."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from compare.course import Course
from compare.features import Features
from compare.types import Learner
from icl.encode import Encoder
from icl.engine.types import Engine
from prompts import PromptBuilder

if TYPE_CHECKING:
    from compare.kept import KeptScores


@dataclass
class Ledger:
    """What the engine of the language model itself does not count."""

    flops: int = 0
    """Forward passes of adapted copies, and of a sentence model."""
    reused: int = 0
    """FLOPs of what an earlier comparison computed, and this one found in the score store …"""
    spared: float = 0.0
    """… and the seconds that it took."""
    probing: int = 0
    """FLOPs of measurements beside the comparison, forward passes and training (compare/probes.py)."""

    def spare(self, seconds: float, flops: int) -> None:
        """Adds what was found."""
        self.spared += seconds
        self.reused += flops

    def clock(self) -> float:
        """Seconds as if nothing had been spared: differences are what computing takes."""
        return time.perf_counter() + self.spared


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
    kept: KeptScores | None = None
    """Asks the score store before the engine, for the model as it is; None asks the engine."""
    course: Course = field(default_factory=Course)
    """What a meta-training tells how it goes, and where it is kept meanwhile."""


@dataclass(frozen=True)
class Family:
    """One entry of `LEARNERS`."""

    build: Callable[[Tools, Any], Learner]
    """Tools and one entry of the grid → an untrained learner."""
    grid: tuple[Any, ...]
    """Settings that the search tries on meta-validation episodes; the first is used where there are none."""
    uses_features: bool
    """Whether it reads frozen features, which it is then charged for."""
    needs_meta_train: bool
    """Whether it cannot work without other tasks."""
    shows_support: bool = False
    """Whether the whole support stands in its prompts, which must then fit the context window."""

    @property
    def reads_other_tasks(self) -> bool:
        """For meta-training, for the scale of features, or for choosing between settings."""
        return self.uses_features or self.needs_meta_train or len(self.grid) > 1
