"""How an external memory is found in: content-based reading, and least-recently-used access (Graves et al. 2014, Santoro et al. 2016).

    read:    w_r(i) ∝ exp(β · cos(k, M(i)))          β ≥ 0, the key's strength, is learnt (Graves et al., eq. 5)
    usage:   w_u ← γ w_u + Σ_heads w_r + Σ_heads w_w
    unused:  w_lu has a 1 at the least used row of each head: the h-th least used row belongs to head h
    write:   w_w = σ(α) w_r(before) + (1 − σ(α)) w_lu;    M(i) ← M(i) · [i is not the least used] + Σ_heads w_w(i) k

Shapes: M (b, rows, width), keys (b, heads, width), weights (b, heads, rows), usage (b, rows).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

EPSILON = 1e-8


def read_weights(memory: Tensor, keys: Tensor, strength: Tensor) -> Tensor:
    """(b, rows, width), (b, heads, width), (b, heads) → (b, heads, rows), each summing to 1."""
    unit = memory / (memory.norm(dim=-1, keepdim=True) + EPSILON)
    wanted = keys / (keys.norm(dim=-1, keepdim=True) + EPSILON)
    weights: Tensor = (strength[..., None] * (wanted @ unit.transpose(1, 2))).softmax(-1)
    return weights


def least_used(usage: Tensor, heads: int) -> Tensor:
    """(b, rows) → (b, heads, rows): a 1 at the h-th least used row for head h. Equally used rows: the first of them first."""
    import torch

    rows = usage.argsort(dim=-1, stable=True)[:, :heads]
    return torch.nn.functional.one_hot(rows, usage.shape[-1]).to(usage.dtype)


def write_weights(read_before: Tensor, unused: Tensor, gate: Tensor) -> Tensor:
    """(b, heads, rows) twice, gate σ(α) in [0, 1] of shape (b, heads) → (b, heads, rows)."""
    return gate[..., None] * read_before + (1 - gate[..., None]) * unused


def written(memory: Tensor, weights: Tensor, unused: Tensor, keys: Tensor) -> Tensor:
    """The memory after rows that are least used were emptied and keys were added: (b, rows, width)."""
    kept = memory * (1 - unused.sum(dim=1))[..., None]
    return kept + weights.transpose(1, 2) @ keys


def used(usage: Tensor, read: Tensor, write: Tensor, decay: float) -> Tensor:
    """(b, rows): decayed, and counted on by this step's reading and writing."""
    return decay * usage + read.sum(dim=1) + write.sum(dim=1)
