"""Fully connected layers with rectified units between them; without hidden layers a linear map.

Weights and biases of hidden layers are drawn from U(±1 / √inputs), so that kinks are spread over the inputs; where inputs have length 1
and not variance 1, the first layer's from U(±1). The head's weights are N(0, 0.01²): first predictions are close to zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from compare.backbones.types import Backbone

if TYPE_CHECKING:
    from torch import Tensor

    from compare.meta_gradient import Params

HEAD_SCALE = 0.01


def mlp(hidden: Sequence[int], *, unit_length: bool = False) -> Backbone:
    """A network with these widths of hidden layers; `unit_length`: its inputs have length about 1, not variance 1."""

    def initial(width: int, outputs: int, rng: np.random.Generator, dtype: Any) -> Params:
        import torch

        generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
        sizes = (width, *hidden)
        params: Params = {}
        for i, (below, above) in enumerate(zip(sizes, hidden, strict=False)):
            bound = 1.0 if unit_length and i == 0 else below**-0.5
            for name, shape in (("weight", (above, below)), ("bias", (above,))):
                params[f"body.{i}.{name}"] = bound * (2 * torch.rand(shape, generator=generator, dtype=dtype) - 1)
        params["head.weight"] = HEAD_SCALE * torch.randn(outputs, sizes[-1], generator=generator, dtype=dtype)
        params["head.bias"] = torch.zeros(outputs, dtype=dtype)
        return params

    def body(params: Params, x: Tensor) -> Tensor:
        import torch

        for i in range(len(hidden)):
            x = torch.nn.functional.linear(x, params[f"body.{i}.weight"], params[f"body.{i}.bias"]).relu()
        return x

    def head(params: Params, x: Tensor) -> Tensor:
        import torch

        return torch.nn.functional.linear(x, params["head.weight"], params["head.bias"])

    return Backbone(initial, body, head)
