"""Model-based learners: networks that read an episode and adapt by reading. One kind per file, one entry per kind here."""

from __future__ import annotations

from collections.abc import Callable

from compare.backbones import Backbone, mlp
from compare.sequence.mann import MANN
from compare.sequence.read import Sequences, along, ask, mixed, query_loss, sequence_loss
from compare.sequence.snail import SNAIL
from compare.sequence.training import Training
from compare.sequence.transformer import InContextTransformer
from compare.sequence.types import Reader, SequenceModel
from tasks.errors import unknown_name

READERS: dict[str, Callable[[int], Reader]] = {
    "in-context-transformer": InContextTransformer,
    "mann": lambda points: MANN(),
    "snail": SNAIL,
}
"""Name → a reader of ordinary size for sequences of so many points."""


def sequence_model(name: str, points: int, *, classes: int = 0, backbone: Backbone | None = None) -> SequenceModel:
    """A model of that name. `points`: longest sequence, the query included; `backbone` of None reads inputs as they are.

    Raises IclError for an unknown name.
    """
    if name not in READERS:
        raise unknown_name("model-based learner", name, READERS)
    return SequenceModel(name, READERS[name](points), backbone or mlp(()), classes)


__all__ = [
    "MANN",
    "READERS",
    "SNAIL",
    "InContextTransformer",
    "Reader",
    "SequenceModel",
    "Sequences",
    "Training",
    "along",
    "ask",
    "mixed",
    "query_loss",
    "sequence_loss",
    "sequence_model",
]
