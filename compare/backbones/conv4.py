"""Four convolutional blocks and a linear head: the network of most few-shot image papers (Vinyals et al. 2016, Snell et al. 2017).

    pool:    3 × 3 convolution  →  norm  →  rectified units  →  2 × 2 maximum        (computed in another order, see `block`)
    stride:  3 × 3 convolution at every second place  →  norm  →  rectified units;  features are means over places
             (Finn et al. 2017 on Omniglot)

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
Halving = Literal["pool", "stride"]
HALVINGS: dict[str, Halving] = {"conv4": "pool", "conv4-strided": "stride"}
"""Network → how a block halves an image."""


def features(size: int, filters: int, halving: Halving) -> int:
    """Width of what the body gives of a square image."""
    return filters * int(size // 2**BLOCKS) ** 2 if halving == "pool" else filters


def conv4(size: int, *, filters: int = 64, norm: Norm = "batch", halving: Halving = "pool") -> Backbone:
    """For square images, (n, channels, size, size). Raises ValueError for images too small for four halvings."""
    if size < 2**BLOCKS:
        raise ValueError(f"conv4 halves an image {BLOCKS} times and needs {2**BLOCKS} pixels a side, but got {size}")

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
        params["head.weight"] = HEAD_SCALE * torch.randn(outputs, features(size, filters, halving), generator=generator, dtype=dtype)
        params["head.bias"] = torch.zeros(outputs, dtype=dtype)
        return params

    def body(params: Params, x: Tensor) -> Tensor:
        for i in range(BLOCKS):
            x = block({name: params[f"body.{i}.{name}"] for name in ("weight", "bias", "scale", "shift")}, x, norm, halving, first=i == 0)
        return x.mean(dim=(2, 3)) if halving == "stride" else x.flatten(1)

    def head(params: Params, x: Tensor) -> Tensor:
        import torch

        return torch.nn.functional.linear(x, params["head.weight"], params["head.bias"])

    return Backbone(initial, body, head)


def block(part: Params, x: Tensor, norm: Norm, halving: Halving, *, first: bool) -> Tensor:
    """(n, channels, side, side) → (n, filters, half, half); an odd side is rounded down by `pool`, up by `stride`.

    Most of the time of a meta-step is not convolutions but passes over the largest activations, in a graph that is differentiated twice.
    So the maximum is taken first: it commutes with a rising line, and a falling one (scale < 0) becomes rising when the sign goes into the
    kernel. What follows then sees a quarter of the numbers. A bias before batch norm cancels, and is not added.
    """
    from torch.nn.functional import conv2d, max_pool2d

    kernel, bias, scale = part["weight"], part["bias"], part["scale"]
    if halving == "pool":
        sign = 1.0 - 2.0 * (scale < 0).to(scale.dtype)
        kernel, bias, scale = kernel * sign[:, None, None, None], bias * sign, scale.abs()
    stride = 2 if halving == "stride" else 1
    if first and norm == "batch":
        y, variance, mean = first_convolution(kernel, x, stride)
    else:
        import torch

        y = conv2d(x, kernel, bias if norm == "layer" else None, padding=1, stride=stride)
        variance, mean = torch.var_mean(y, dim=OVER[norm], correction=0, keepdim=True)
    if halving == "pool":
        y = max_pool2d(y, 2)
    return ((y - mean) * (scale[:, None, None] * (variance + EPSILON).rsqrt()) + part["shift"][:, None, None]).relu()


def first_convolution(kernel: Tensor, x: Tensor, stride: int) -> tuple[Tensor, Tensor, Tensor]:
    """The convolution of images, its variance and its mean per filter, (filters, 1, 1) each.

    A product with all 3 × 3 patches p of the images. Since the output is w · p, its moments are those of patches, E[w · p] = w · E[p] and
    Var[w · p] = wᵀ Cov[p] w: a handful of numbers, and no gradient of them has to pass through the largest activation of the network.
    """
    import torch

    n, _, height, width = x.shape
    padded = torch.nn.functional.pad(x, (1, 1, 1, 1))
    shifted = [padded[:, :, i : i + height : stride, j : j + width : stride] for i in range(3) for j in range(3)]
    height, width = shifted[0].shape[2:]
    patches = torch.stack(shifted, dim=2).flatten(1, 2).permute(0, 2, 3, 1).flatten(0, 2)  # (n · height · width, channels · 9)
    weights = kernel.flatten(1)  # (filters, channels · 9)
    middle = patches.mean(dim=0)
    centred = patches - middle
    covariance = centred.T @ centred / len(patches)
    variance = ((weights @ covariance) * weights).sum(dim=1)
    y = (patches @ weights.T).reshape(n, height, width, -1).permute(0, 3, 1, 2)
    return y, variance[:, None, None], (weights @ middle)[:, None, None]
