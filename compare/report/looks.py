"""How a learner looks in every chart: a colour of its own within its kind, a shape and a dash by kind. The same in every report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

COLOURS = 7
"""In `--category` of the page. Learners that share one differ in kind, and so in shape and dash."""

KINDS: dict[str, tuple[str, ...]] = {
    "prompt": ("zero-shot", "in-context", "metaicl"),
    "language model's weights": ("fine-tune", "lora", "ia3", "bitfit", "prompt-tuning", "adapt-then-prompt"),
    "frozen features": ("linear-probe", "protonet", "matching-net", "matching-net-fce"),
    "meta-learnt": ("maml", "fomaml", "reptile", "anil", "meta-sgd"),
}
ORDER = tuple(name for names in KINDS.values() for name in names)
SHAPES = {"prompt": "circle", "language model's weights": "square", "frozen features": "triangle-up", "meta-learnt": "diamond"}
DASHES = {"prompt": (1, 0), "language model's weights": (7, 3), "frozen features": (2, 2), "meta-learnt": (7, 2, 2, 2)}


@dataclass(frozen=True)
class Key:
    """An entry of the legend that all charts share."""

    learner: str
    colour: int
    shape: str
    dash: str
    """As SVG writes it."""


def kind_of(learner: str) -> str:
    """The kind that a learner belongs to."""
    return next(kind for kind, names in KINDS.items() if learner in names)


def keys(learners: Sequence[str]) -> dict[str, list[Key]]:
    """Kind → legend entries of those learners, kinds without any left out."""
    found = {kind: [_key(n, kind) for n in names if n in learners] for kind, names in KINDS.items()}
    return {kind: of for kind, of in found.items() if of}


def _key(learner: str, kind: str) -> Key:
    return Key(learner, ORDER.index(learner) % COLOURS, SHAPES[kind], " ".join(map(str, DASHES[kind])))
