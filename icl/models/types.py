"""What a model name resolves to."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Permissions:
    """What the user allows a model's files to do; nothing by default."""

    trust_remote_code: bool = False
    allow_pickle: bool = False


@dataclass(frozen=True)
class ModelSource:
    """A model on this machine, ready to be loaded: always a directory of dense safetensors with its tokenizer."""

    name: str
    """As the user wrote it."""
    path: Path
    fingerprint: str
    """sha256 over weights, configuration and tokenizer (hub models: repository and commit). Equal fingerprints, equal scores."""
    description: str
    licence: str = "unknown: see the model's own card"
    notes: tuple[str, ...] = ()
    permissions: Permissions = field(default_factory=Permissions)
