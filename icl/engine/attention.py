"""Attention of a tree's chunk on a CPU: what all rows see without a mask, the rest in small blocks.

A packed chunk attends to a *trunk* (the ancestors that all its rows share) and to *local* columns (the rest of the path, and the chunk
itself), most of which a row does not see. One masked kernel over everything costs rows x columns and, in bf16 on a CPU, runs several
times slower than the plain products (docs/performance.md). So rows are taken in blocks of BLOCK; a block multiplies with the trunk and
with the one run of local columns that any of its rows sees, and masks only that run. Scores are rounded to the
model's dtype as in eager attention; torch's softmax sums in float32 whatever it is given.

transformers finds this function by its name through `AttentionInterface`; the plan of the chunk under way stands in a context variable,
since a model hands its attention nothing but tensors. Without a plan (plain batches, decoding) it is SDPA.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from icl.tree import Chunk, TokenTree

NAME = "icl_tree"
BLOCK = 128
"""Rows of one block: its scores stay within a core's cache, and branches of a few dozen tokens leave little to mask."""


@dataclass(frozen=True)
class Block:
    """Rows [start, stop) of a chunk and the local columns [low, high) that any of them sees."""

    start: int
    stop: int
    low: int
    high: int
    mask: Tensor
    """(stop - start, high - low): 0 where the row sees the column, -inf elsewhere."""


@dataclass(frozen=True)
class AttentionPlan:
    """Who sees whom in one chunk: columns [0, trunk) are seen by every row."""

    trunk: int
    blocks: tuple[Block, ...]
    seen: int
    """Pairs of row and column that see each other."""


_PLAN: ContextVar[AttentionPlan | None] = ContextVar("icl_attention_plan", default=None)


def plan_attention(tree: TokenTree, chunk: Chunk, dtype: torch.dtype) -> AttentionPlan:
    """The plan of a chunk: pure, the same for every layer."""
    attends = tree.attends(chunk)
    trunk = int((tree.end[chunk.path] >= chunk.stop).sum())  # subtree ends fall along a path, so these are its first nodes
    local = attends[:, trunk:]
    blocks = []
    for start in range(0, len(local), BLOCK):
        rows = local[start : start + BLOCK]
        seen = np.flatnonzero(rows.any(axis=0))
        low, high = int(seen[0]), int(seen[-1]) + 1
        mask = torch.zeros(len(rows), high - low, dtype=dtype).masked_fill_(torch.as_tensor(~rows[:, low:high]), float("-inf"))
        blocks.append(Block(start, start + len(rows), trunk + low, trunk + high, mask))
    return AttentionPlan(trunk, tuple(blocks), int(attends.sum()))


@contextmanager
def attending(plan: AttentionPlan) -> Iterator[None]:
    """Inside, the registered attention follows the plan."""
    token = _PLAN.set(plan)
    try:
        yield
    finally:
        _PLAN.reset(token)


def register() -> None:
    """Makes the attention known to transformers; masks for its plain use are made as for SDPA."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)


def attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, scaling: float | None = None, **kwargs: Any
) -> tuple[Tensor, None]:
    """query (1, H, N, d), key and value (1, G, columns, d) → (1, N, H, d). H is a multiple of G (grouped heads)."""
    plan = _PLAN.get()
    if plan is None:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        out: tuple[Tensor, None] = sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
        return out
    if kwargs.get("s_aux") is not None:
        raise NotImplementedError("attention sinks are not served by the tree")
    _, heads, rows, size = query.shape
    groups = key.shape[1]
    scaled = (query * (scaling if scaling is not None else size**-0.5)).view(groups, heads // groups, rows, size)
    softcap = kwargs.get("softcap")
    out_rows = query.new_empty(rows, heads, value.shape[-1])
    for block in plan.blocks:
        columns = [(0, plan.trunk), (block.low, block.high)] if plan.trunk else [(block.low, block.high)]
        keys = torch.cat([key[0, :, a:b] for a, b in columns], dim=1)  # (G, seen, d)
        values = torch.cat([value[0, :, a:b] for a, b in columns], dim=1)
        part = scaled[:, :, block.start : block.stop].reshape(groups, -1, size)  # (G, H/G x n, d)
        scores = torch.bmm(part, keys.transpose(1, 2))
        if softcap is not None:
            scores = (softcap * torch.tanh(scores.float() / softcap)).to(scores.dtype)
        shaped = scores.view(groups, heads // groups, block.stop - block.start, -1)
        shaped[..., plan.trunk :] += block.mask
        mixed = torch.bmm(torch.softmax(scores, dim=-1), values).view(heads, block.stop - block.start, -1)
        out_rows[block.start : block.stop] = mixed.transpose(0, 1)
    return out_rows[None], None
