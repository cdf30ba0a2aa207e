"""What model-based learners are: one network that reads a whole episode and needs no gradient to learn from it. The ground.

An episode is a sequence (x_1, y_1), …, (x_n, y_n). A reader is a pure function of its parameters that says y_i from the pairs before i and
from x_i, and never sees y_i. So the same parameters serve every task, and adapting is reading.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from compare.backbones.types import HEAD, Backbone

if TYPE_CHECKING:
    from torch import Tensor

    from compare.meta_gradient import Params

EMBED = "embed."
"""Parameters whose names begin so make features of inputs; all others read the sequence."""


class Reader(Protocol):
    """The part of a model-based learner that reads features and labels."""

    @property
    def answers_everywhere(self) -> bool:
        """Whether one pass says y_i at every position i; otherwise at the last position alone."""
        ...

    def initial(self, width: int, label_width: int, outputs: int, generator: Any) -> Params:
        """Width of features and of labels, number of outputs, a torch.Generator → random float32 parameters."""
        ...

    def __call__(self, params: Params, features: Tensor, labels: Tensor) -> Tensor:
        """(b, n, width), (b, n, label_width) → (b, n, outputs), or (b, 1, outputs) for the last position. The last label is not read."""
        ...


@dataclass(frozen=True)
class SequenceModel:
    """A reader on top of a body that makes features of each input alone."""

    name: str
    reader: Reader
    backbone: Backbone
    """Its body is used; its head is not. `mlp(())` leaves inputs as they are."""
    classes: int = 0
    """Labels of an episode; 0: targets are numbers."""

    @property
    def outputs(self) -> int:
        """Of the last layer: scores of the classes, or one number."""
        return self.classes or 1

    def initial(self, inputs: int, rng: np.random.Generator) -> Params:
        """Random float32 parameters. `inputs`: width of an input, or channels of an image."""
        import torch

        drawn = self.backbone.initial(inputs, self.outputs, rng, torch.float32)
        width = drawn[f"{HEAD}weight"].shape[1]
        body = {EMBED + name: value for name, value in drawn.items() if not name.startswith(HEAD)}
        generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
        return {**body, **self.reader.initial(width, self.outputs, self.outputs, generator)}

    def embed(self, params: Params, x: Tensor) -> Tensor:
        """(tasks, n, …) → features (tasks, n, width)."""
        body = {name.removeprefix(EMBED): value for name, value in params.items() if name.startswith(EMBED)}
        features = self.backbone.body(body, x.flatten(0, 1))
        return features.reshape(*x.shape[:2], -1)

    def labels(self, y: Tensor) -> Tensor:
        """Targets, (…) → what is read of them: (…, classes) with a 1, or (…, 1)."""
        import torch

        return torch.nn.functional.one_hot(y, self.classes).float() if self.classes else y[..., None].float()

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """(…, outputs), (…) → cross-entropy, or mean squared error."""
        import torch

        if self.classes:
            return torch.nn.functional.cross_entropy(outputs.flatten(0, -2), y.flatten())
        return ((outputs[..., 0] - y) ** 2).mean()


def size_of(params: Mapping[str, Tensor]) -> int:
    """Numbers in all parameters together."""
    return sum(value.numel() for value in params.values())
