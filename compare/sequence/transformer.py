"""In-context transformer (Garg et al. 2022 on functions; Kirsch et al. 2022, GPICL, on classes): a causal transformer trained on episodes.

    tokens:  x_1, y_1, x_2, y_2, …, x_n      each mapped to the width by one linear map for x and one for y, plus a learnt position
    joined:  x_1 + y_1, x_2 + y_2, …, x_n    the sum of both maps: what the last one is, is looked up in one layer instead of two
    block:   h ← h + Attention(LN(h));  h ← h + W₂ GELU(W₁ LN(h))          (GPT-2: norm first, causal mask)
    said:    y_i is read from the token of x_i, which attends to x_1 … x_i and y_1 … y_{i−1}

Labels of classes enter as tokens too: a row of the label map per class. Apart is Garg's way; joined is that of CAML (Fifty et al. 2024),
where an image and its own label share a token and the last label is unknown; in GPICL a token holds an image and the label of the one
before. No dropout.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tasks import IclError

if TYPE_CHECKING:
    from torch import Tensor

    from compare.meta_gradient import Params

SCALE = 0.02
"""Standard deviation of weights at the start; those that end in the residual stream are divided by the root of their number (GPT-2)."""


@dataclass(frozen=True)
class InContextTransformer:
    """See the module's opening. A Reader."""

    points: int
    """Longest sequence, in pairs."""
    width: int = 64
    layers: int = 3
    heads: int = 2
    joined: bool = False
    """Whether an input and its label share a token. Then only the last, whose label is not read, says anything."""

    @property
    def answers_everywhere(self) -> bool:
        """See Reader."""
        return not self.joined

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise IclError(f"the width must be a multiple of the heads, but {self.width} is none of {self.heads}")

    def initial(self, width: int, label_width: int, outputs: int, generator: Any) -> Params:
        """See Reader."""
        import torch

        w, residual = self.width, SCALE / (2 * self.layers) ** 0.5
        shapes = {
            "x.weight": (w, width),
            "y.weight": (w, label_width),
            "position": (self.points if self.joined else 2 * self.points - 1, w),
        }
        scales = {"x.weight": width**-0.5, "y.weight": label_width**-0.5}
        for i in range(self.layers):
            shapes |= {f"{i}.qkv.weight": (3 * w, w), f"{i}.out.weight": (w, w)}
            shapes |= {f"{i}.up.weight": (4 * w, w), f"{i}.down.weight": (w, 4 * w)}
            scales |= {f"{i}.out.weight": residual, f"{i}.down.weight": residual}
        shapes["said.weight"] = (outputs, w)
        params: Params = {name: scales.get(name, SCALE) * torch.randn(shape, generator=generator) for name, shape in shapes.items()}
        biases = {name.replace(".weight", ".bias"): shape[0] for name, shape in shapes.items() if name.endswith(".weight")}
        norms = [f"{i}.{part}" for i in range(self.layers) for part in ("norm1", "norm2")] + ["norm"]
        params |= {name: torch.zeros(n) for name, n in biases.items()}
        return params | {f"{n}.weight": torch.ones(w) for n in norms} | {f"{n}.bias": torch.zeros(w) for n in norms}

    def __call__(self, params: Params, features: Tensor, labels: Tensor) -> Tensor:
        """See Reader: (b, n, outputs), or (b, 1, outputs) where tokens are joined. Raises IclError for sequences longer than `points`."""
        import torch

        n = features.shape[1]
        if n > self.points:
            raise IclError(f"this transformer reads at most {self.points} points, but got {n}; train one with points={n}")
        seen, told = linear(params, "x", features), linear(params, "y", labels)
        if self.joined:
            h = seen + torch.cat([told[:, :-1], torch.zeros_like(told[:, -1:])], dim=1)  # (b, n, w)
        else:
            h = torch.stack([seen, told], dim=2).flatten(1, 2)[:, :-1]  # (b, 2n − 1, w): x_1, y_1, …, x_n
        h = h + params["position"][: h.shape[1]]
        for i in range(self.layers):
            h = h + self._attend(params, i, norm(params, f"{i}.norm1", h))
            up = linear(params, f"{i}.up", norm(params, f"{i}.norm2", h))
            h = h + linear(params, f"{i}.down", torch.nn.functional.gelu(up, approximate="tanh"))
        return linear(params, "said", norm(params, "norm", h[:, -1:] if self.joined else h[:, ::2]))

    def _attend(self, params: Params, i: int, h: Tensor) -> Tensor:
        """Causal attention of layer i: (b, t, w) → (b, t, w)."""
        b, t, w = h.shape
        q, k, v = (
            linear(params, f"{i}.qkv", h).reshape(b, t, 3, self.heads, w // self.heads).permute(2, 0, 3, 1, 4)
        )  # each (b, heads, t, d)
        mixed = causal_attention(q, k, v)
        return linear(params, f"{i}.out", mixed.transpose(1, 2).flatten(2))


def causal_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q kᵀ / √d) v over positions up to one's own: (…, t, d), (…, t, d), (…, t, e) → (…, t, e). Plain products, so that it can be
    mapped over tasks."""
    import torch

    t = q.shape[-2]
    later = torch.ones(t, t, dtype=torch.bool, device=q.device).triu(1)
    scores = (q @ k.transpose(-1, -2)) * q.shape[-1] ** -0.5
    out: Tensor = scores.masked_fill(later, float("-inf")).softmax(-1) @ v
    return out


def linear(params: Params, name: str, x: Tensor) -> Tensor:
    """The linear map of that name."""
    import torch

    return torch.nn.functional.linear(x, params[f"{name}.weight"], params[f"{name}.bias"])


def norm(params: Params, name: str, x: Tensor) -> Tensor:
    """The layer norm of that name, over the last dimension."""
    import torch

    return torch.nn.functional.layer_norm(x, x.shape[-1:], params[f"{name}.weight"], params[f"{name}.bias"])
