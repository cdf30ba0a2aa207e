"""What meta-learners need of a network. The ground: imports nothing from its siblings."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    from compare.meta_gradient import Params

HEAD = "head."
"""Parameters whose names begin so are the head's; all others are the body's."""


@dataclass(frozen=True)
class Backbone:
    """A body that makes features of inputs, and a linear head on them."""

    initial: Callable[[int, int, np.random.Generator, Any], Params]
    """Width of the inputs, outputs, a stream, a torch dtype → random parameters."""
    body: Callable[[Params, Tensor], Tensor]
    """(n, width) → features (n, d). It reads parameters of the body only."""
    head: Callable[[Params, Tensor], Tensor]
    """Features (n, d) → outputs (n, outputs). It reads parameters of the head only."""

    def __call__(self, params: Params, x: Tensor) -> Tensor:
        """(n, width) → (n, outputs)."""
        return self.head(params, self.body(params, x))


def head_names(names: Iterable[str]) -> list[str]:
    """Those of the head's parameters among these names."""
    return [name for name in names if name.startswith(HEAD)]
