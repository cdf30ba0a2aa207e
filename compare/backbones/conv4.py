"""Four convolutional blocks and a linear head: the network of most few-shot image papers (Vinyals et al. 2016, Snell et al. 2017).

    block:  3 × 3 convolution  →  norm  →  rectified units  →  2 × 2 maximum

The norm has learnt scale and shift. `batch` takes mean and variance per channel from the images at hand, as MAML and its relatives do;
running statistics do not exist here. A prediction then depends on the other queries of its batch: a learner with this norm is transductive
and must say so. `layer` takes them from each image alone. Weights are drawn as He et al. 2015 do, the head's from N(0, 0.01²).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from compare.backbones.types import Backbone

if TYPE_CHECKING:
    from torch import Tensor

    from compare.meta_gradient import Params

BLOCKS = 4
HEAD_SCALE = 0.01
EPSILON = 1e-5

Norm = Literal["batch", "layer"]
OVER: dict[Norm, tuple[int, ...]] = {"batch": (0, 2, 3), "layer": (1, 2, 3)}
"""Norm → dimensions of (images, channels, height, width) that share a mean and a variance."""


def conv4(size: int, *, filters: int = 64, norm: Norm = "batch") -> Backbone:
    """For square images, (n, channels, size, size). Raises ValueError for images too small for four halvings."""
    if size < 2**BLOCKS:
        raise ValueError(f"conv4 halves an image {BLOCKS} times and needs {2**BLOCKS} pixels a side, but got {size}")
    width = filters * (size // 2**BLOCKS) ** 2

    def initial(channels: int, outputs: int, rng: np.random.Generator, dtype: Any) -> Params:
        import torch

        generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
        params: Params = {}
        for i in range(BLOCKS):
            below = channels if i == 0 else filters
            scale = (2 / (9 * below)) ** 0.5
            params[f"body.{i}.weight"] = scale * torch.randn(filters, below, 3, 3, generator=generator, dtype=dtype)
            params[f"body.{i}.bias"] = torch.zeros(filters, dtype=dtype)
            params[f"body.{i}.scale"] = torch.ones(filters, dtype=dtype)
            params[f"body.{i}.shift"] = torch.zeros(filters, dtype=dtype)
        params["head.weight"] = HEAD_SCALE * torch.randn(outputs, width, generator=generator, dtype=dtype)
        params["head.bias"] = torch.zeros(outputs, dtype=dtype)
        return params

    def body(params: Params, x: Tensor) -> Tensor:
        from torch.nn.functional import conv2d, max_pool2d

        for i in range(BLOCKS):
            part = {name: params[f"body.{i}.{name}"] for name in ("weight", "bias", "scale", "shift")}
            x = standardise(conv2d(x, part["weight"], part["bias"], padding=1), OVER[norm])
            x = max_pool2d((x * part["scale"][:, None, None] + part["shift"][:, None, None]).relu(), 2)
        return x.flatten(1)

    def head(params: Params, x: Tensor) -> Tensor:
        import torch

        return torch.nn.functional.linear(x, params["head.weight"], params["head.bias"])

    return Backbone(initial, body, head)


def standardise(x: Tensor, over: tuple[int, ...]) -> Tensor:
    """Mean 0 and variance 1 over these dimensions; plain arithmetic, so that it can be differentiated twice under vmap."""
    centred = x - x.mean(dim=over, keepdim=True)
    return centred * ((centred * centred).mean(dim=over, keepdim=True) + EPSILON).rsqrt()
