"""Networks as pure functions of their parameters: one kind per file, one entry per network here."""

from __future__ import annotations

from compare.backbones.mlp import mlp
from compare.backbones.types import Backbone

BACKBONES: dict[str, Backbone] = {"linear": mlp(()), "mlp": mlp((32,), unit_length=True)}
"""Name → network, for learners on frozen features."""

__all__ = ["BACKBONES", "Backbone", "mlp"]
