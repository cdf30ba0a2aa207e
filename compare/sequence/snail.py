"""SNAIL (Mishra et al. 2018): temporal convolutions, which gather what is near, and attention, which finds what is far.

    dense block (D, dilation):  g = tanh(conv_f(h)) · σ(conv_g(h)),  h ← [h, g]        causal convolutions with kernel 2
    TC block (T, D):            dense blocks with dilations 1, 2, 4, … until T positions are in reach
    attention (K, V):           h ← [h, softmax_{j ≤ i}(q_i · k_j / √K) v_j]
    network:                    attention, TC, attention, TC, attention, linear         (the paper's for few-shot classes)

Labels enter with their inputs, [x_i, y_i]; the last input has none, and what is said is said for it alone, as in the paper. Sizes of the
paper for Omniglot: filters 128, attention (64, 32), (256, 128), (512, 256).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from compare.sequence.transformer import causal_attention, linear
from tasks import IclError

if TYPE_CHECKING:
    from torch import Tensor

    from compare.meta_gradient import Params


@dataclass(frozen=True)
class SNAIL:
    """See the module's opening. A Reader."""

    points: int
    """Longest sequence, which the temporal convolutions reach across."""
    filters: int = 32
    attention: tuple[tuple[int, int], ...] = ((32, 16), (64, 32), (64, 32))
    """Widths of keys and values of each attention; a TC block stands between two of them."""

    answers_everywhere = False

    def __post_init__(self) -> None:
        if self.points < 2 or not self.attention:
            raise IclError(f"SNAIL needs 2 or more points and an attention block, but got {self.points} and {len(self.attention)}")

    @property
    def dilations(self) -> tuple[int, ...]:
        """Of the dense blocks of a TC block."""
        return tuple(2**i for i in range(math.ceil(math.log2(self.points))))

    def initial(self, width: int, label_width: int, outputs: int, generator: Any) -> Params:
        """See Reader."""
        import torch

        shapes: dict[str, tuple[int, ...]] = {}
        now = width + label_width
        for a, (keys, values) in enumerate(self.attention):
            shapes[f"attention.{a}.weight"] = (2 * keys + values, now)
            now += values
            if a < len(self.attention) - 1:
                for dilation in self.dilations:
                    shapes[f"conv.{a}.{dilation}.weight"] = (2 * self.filters, now, 2)
                    now += self.filters
        shapes["said.weight"] = (outputs, now)
        params: Params = {}
        for name, shape in shapes.items():
            params[name] = torch.randn(shape, generator=generator) * math.prod(shape[1:]) ** -0.5
            params[name.replace(".weight", ".bias")] = torch.zeros(shape[0])
        return params

    def __call__(self, params: Params, features: Tensor, labels: Tensor) -> Tensor:
        """See Reader: (b, 1, outputs)."""
        import torch

        n = features.shape[1]
        if n > self.points:
            raise IclError(f"this SNAIL reads at most {self.points} points, but got {n}; train one with points={n}")
        shown = torch.cat([labels[:, :-1], torch.zeros_like(labels[:, -1:])], dim=1)
        h = torch.cat([features, shown], dim=-1)
        for a in range(len(self.attention)):
            h = torch.cat([h, self._attend(params, a, h)], dim=-1)
            if a < len(self.attention) - 1:
                for dilation in self.dilations:
                    h = torch.cat([h, self._gather(params, a, dilation, h)], dim=-1)
        return linear(params, "said", h[:, -1:])

    def _attend(self, params: Params, a: int, h: Tensor) -> Tensor:
        """(b, n, width) → (b, n, values)."""
        keys = self.attention[a][0]
        both = linear(params, f"attention.{a}", h)
        q, k, v = both[..., :keys], both[..., keys : 2 * keys], both[..., 2 * keys :]
        return causal_attention(q, k, v)

    def _gather(self, params: Params, a: int, dilation: int, h: Tensor) -> Tensor:
        """A dense block's new features: (b, n, width) → (b, n, filters)."""
        import torch

        weight, bias = params[f"conv.{a}.{dilation}.weight"], params[f"conv.{a}.{dilation}.bias"]
        past = torch.nn.functional.pad(h.transpose(1, 2), (dilation, 0))
        new, gate = torch.nn.functional.conv1d(past, weight, bias, dilation=dilation).chunk(2, dim=1)
        return (new.tanh() * gate.sigmoid()).transpose(1, 2)
