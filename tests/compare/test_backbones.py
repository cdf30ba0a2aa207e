"""Networks as pure functions against torch's own modules; the meta-gradient of MAML on conv4 against `higher`."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from compare.backbones.conv4 import Halving, Norm, conv4, features
from compare.learners import maml
from compare.meta_gradient import TaskBatch, cross_entropy, meta_gradient
from compare.meta_method import Inner

SIZE, FILTERS, LABELS = 17, 3, 2


class Conv4(torch.nn.Module):
    """The same network of torch's layers; batch norm without running statistics, layer norm as a group norm of one group."""

    def __init__(self, norm: Norm, halving: Halving) -> None:
        super().__init__()
        self.halving = halving
        stride = 2 if halving == "stride" else 1
        self.convolutions = torch.nn.ModuleList(
            torch.nn.Conv2d(1 if i == 0 else FILTERS, FILTERS, 3, padding=1, stride=stride) for i in range(4)
        )
        self.norms = torch.nn.ModuleList(
            torch.nn.BatchNorm2d(FILTERS, track_running_stats=False) if norm == "batch" else torch.nn.GroupNorm(1, FILTERS)
            for _ in range(4)
        )
        self.head = torch.nn.Linear(FILTERS, LABELS)

    def forward(self, x: Tensor) -> Tensor:
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = norm(convolution(x)).relu()
            x = torch.nn.functional.max_pool2d(x, 2) if self.halving == "pool" else x
        return self.head(x.flatten(1) if self.halving == "pool" else x.mean(dim=(2, 3)))


def both(norm: Norm, halving: Halving = "pool") -> tuple[dict[str, Tensor], Conv4, dict[str, str]]:
    """Our parameters, torch's module with the same ones, and our name → its name."""
    draw = torch.Generator().manual_seed(0)
    network = conv4(SIZE, filters=FILTERS, norm=norm, halving=halving)
    params = network.initial(1, LABELS, np.random.default_rng(0), torch.float64)
    params = {name: value + 0.3 * torch.randn(value.shape, generator=draw, dtype=torch.float64) for name, value in params.items()}
    names = {"head.weight": "head.weight", "head.bias": "head.bias"}
    for i in range(4):
        names |= {f"body.{i}.{part}": f"convolutions.{i}.{part}" for part in ("weight", "bias")}
        names |= {f"body.{i}.scale": f"norms.{i}.weight", f"body.{i}.shift": f"norms.{i}.bias"}
    module = Conv4(norm, halving).double()
    module.load_state_dict({names[name]: value for name, value in params.items()})
    return params, module, names


@pytest.mark.parametrize("halving", ["pool", "stride"])
@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_conv4_is_torchs_network(norm: Norm, halving: Halving) -> None:
    params, module, _ = both(norm, halving)
    x = torch.randn(5, 1, SIZE, SIZE, dtype=torch.float64)
    network = conv4(SIZE, filters=FILTERS, norm=norm, halving=halving)
    assert network.body(params, x).shape == (5, features(SIZE, FILTERS, halving))
    torch.testing.assert_close(network(params, x), module(x), rtol=0, atol=1e-12)
    alone = torch.allclose(network(params, x[:2]), network(params, x)[:2], atol=1e-12)
    assert alone == (norm == "layer"), "with batch statistics a prediction depends on the other images"


def test_too_small_images_are_refused() -> None:
    with pytest.raises(ValueError, match="needs 16 pixels a side, but got 12"):
        conv4(12)


@pytest.mark.parametrize("halving", ["pool", "stride"])
def test_the_meta_gradient_of_maml_on_conv4_equals_highers(halving: Halving) -> None:
    import higher

    params, module, names = both("batch", halving)
    draw = torch.Generator().manual_seed(1)
    images = [torch.randn(2, n, 1, SIZE, SIZE, generator=draw, dtype=torch.float64) for n in (4, 6)]
    labels = [torch.arange(n).remainder(LABELS).expand(2, n) for n in (4, 6)]
    tasks = TaskBatch(images[0], labels[0], images[1], labels[1])
    inner = Inner(conv4(SIZE, filters=FILTERS, halving=halving), lr=0.1, steps=2)
    got = meta_gradient(params, tasks, partial(maml.adapt, inner), inner.objective)
    sgd = torch.optim.SGD(module.parameters(), lr=0.1)
    losses = []
    for xs, ys, xq, yq in zip(*tasks, strict=True):
        with higher.innerloop_ctx(module, sgd, copy_initial_weights=False) as (fast, step):
            for _ in range(2):
                step.step(cross_entropy(fast(xs), ys))
            losses.append(cross_entropy(fast(xq), yq))
    expected = dict(
        zip(dict(module.named_parameters()), torch.autograd.grad(torch.stack(losses).mean(), list(module.parameters())), strict=True)
    )
    for name, value in got.items():
        torch.testing.assert_close(value, expected[names[name]], rtol=0, atol=1e-10)
    assert float(got["body.0.weight"].norm()) > 1e-3
