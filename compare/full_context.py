"""Full-context embeddings (Vinyals et al. 2016, section 2.1.2, appendix A): support and queries, embedded in the light of the support.

    support:  g(x_i, S) = →h_i + ←h_i + g'(x_i),                 →h, ←h: a bidirectional LSTM over S as a sequence
    query:    h_k = ĥ_k + f'(x̂),   ĥ_k, c_k = LSTM(f'(x̂), [h_{k−1}, r_{k−1}], c_{k−1}),   r_k = Σ_i softmax_i(h_k · g(x_i)) g(x_i)
    answer:   p(y | x̂) = Σ_i softmax_i(s · cos(h_K, g(x_i))) 1[y_i = y]

f' = g' is a learnt map of the features to `width` numbers, h_0 = f'(x̂), c_0 = 0. The sequence has an order although the support has none:
whoever calls this decides it.
"""

from __future__ import annotations

import torch
from torch import Tensor


class FullContext(torch.nn.Module):
    """Float64; `reads` is the paper's K, how often a query looks at the support before it answers."""

    def __init__(self, inputs: int, width: int, reads: int, scale: float) -> None:
        super().__init__()
        self.reads, self.scale = reads, scale
        self.map = torch.nn.Linear(inputs, width, bias=False, dtype=torch.float64)
        self.support = torch.nn.LSTM(width, width, bidirectional=True, batch_first=True, dtype=torch.float64)
        self.query = torch.nn.LSTMCell(2 * width, width, dtype=torch.float64)
        torch.nn.init.normal_(self.map.weight, std=width**-0.5)  # lengths are kept on average

    @classmethod
    def seeded(cls, inputs: int, width: int, reads: int, scale: float, seed: int) -> FullContext:
        """Drawn from a stream of its own."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(inputs, width, reads, scale)

    def embed_support(self, x: Tensor) -> Tensor:
        """(tasks, n, inputs), in the order that is read → (tasks, n, width)."""
        bare: Tensor = self.map(x)
        forward, backward = self.support(bare)[0].chunk(2, dim=-1)
        embedded: Tensor = bare + forward + backward
        return embedded

    def embed_queries(self, x: Tensor, support: Tensor) -> Tensor:
        """(tasks, m, inputs) and the embedded support (tasks, n, width) → (tasks, m, width)."""
        bare: Tensor = self.map(x)
        flat = bare.flatten(0, 1)
        hidden, cell = bare, torch.zeros_like(flat)
        for _ in range(self.reads):
            read = (hidden @ support.mT).softmax(dim=-1) @ support
            fresh, cell = self.query(torch.cat([flat, read.flatten(0, 1)], dim=-1), (hidden.flatten(0, 1), cell))
            hidden = fresh.view_as(bare) + bare
        return hidden

    def forward(self, support: Tensor, members: Tensor, queries: Tensor) -> Tensor:
        """Embedded support, its labels one-hot (tasks, n, labels), queries (tasks, m, inputs) → log-probabilities (tasks, m, labels)."""
        asked = torch.nn.functional.normalize(self.embed_queries(queries, support), dim=-1)
        attention = (self.scale * asked @ torch.nn.functional.normalize(support, dim=-1).mT).softmax(dim=-1)
        return (attention @ members).clamp_min(1e-300).log()
