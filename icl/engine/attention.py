"""Attention of packed tokens that belong to many sequences: a chunk of the token tree, or the next token of each of many answers.

transformers finds this function by its name through `AttentionInterface`; the plan of the pass under way stands in a context variable,
since a model hands its attention nothing but tensors. Three plans:

BlockPlan, a chunk. Rows attend to a *trunk* (the ancestors that all of them share) and to *local* columns (the rest of the path, and the
chunk itself), most of which a row does not see. One masked kernel over everything costs rows x columns and, in bf16 on a CPU, runs
several times slower than the plain products (docs/performance.md). So rows are taken in blocks of BLOCK; a block multiplies with the
trunk and with the one run of local columns that any of its rows sees, and masks only that run.

FlexPlan, the same chunk on CUDA: flex attention with a block mask made from the tree's intervals.

DecodePlan, one new token for each of many answers. All rows multiply with the trunk at once, as one matrix, and each with the tokens of
its own, which lie in buffers that grow in place: nothing that prompts share is copied for each of them.

Scores are rounded to the model's dtype as in eager attention; torch's softmax sums in float32 whatever it is given.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from icl.tree import Chunk, TokenTree

NAME = "icl_tree"
BLOCK = 128
"""Rows of one block: its scores stay within a core's cache, and branches of a few dozen tokens leave little to mask."""
STEP = 64
"""Columns of a block come in multiples of this where there are as many: oneDNN compiles and keeps a kernel for every shape of a product
(a fifth of a gigabyte after fifty chunks when every block had a width of its own)."""

SERVED = frozenset({"sliding_window", "softcap", "s_aux"})
"""Keywords that change the result and that are looked at here."""
HARMLESS = frozenset(
    "dropout is_causal position_ids cache_position use_cache output_attentions output_hidden_states return_dict head_mask "  # noqa: SIM905
    "past_key_values position_embeddings layer_idx".split(" ")
)
"""Keywords that say nothing which the plan does not say."""


class Plan(Protocol):
    """Who sees whom in one forward pass; the same for every layer."""

    def attend(self, module: Any, query: Tensor, key: Tensor, value: Tensor, softcap: float | None) -> Tensor:
        """query (1, H, rows, d), scaled; key and value (1, G, columns, d) → (rows, H, d). H is a multiple of G (grouped heads)."""
        ...


@dataclass(frozen=True)
class Block:
    """Rows [start, stop) of a chunk and the columns [low, high), beyond the trunk, that any of them sees."""

    start: int
    stop: int
    low: int
    high: int
    mask: Tensor
    """(stop - start, high - low): 0 where the row sees the column, -inf elsewhere."""


@dataclass(frozen=True)
class BlockPlan:
    """Columns [0, trunk) are seen by every row."""

    trunk: int
    blocks: tuple[Block, ...]

    def attend(self, module: Any, query: Tensor, key: Tensor, value: Tensor, softcap: float | None) -> Tensor:
        """See Plan."""
        _, heads, rows, size = query.shape
        groups = key.shape[1]
        grouped = query.view(groups, heads // groups, rows, size)
        out = query.new_empty(rows, heads, value.shape[-1])
        for block in self.blocks:
            columns = [(0, self.trunk), (block.low, block.high)] if self.trunk else [(block.low, block.high)]
            keys = torch.cat([key[0, :, a:b] for a, b in columns], dim=1)  # (G, seen, d)
            values = torch.cat([value[0, :, a:b] for a, b in columns], dim=1)
            part = grouped[:, :, block.start : block.stop].reshape(groups, -1, size)  # (G, H/G x n, d)
            scores = _capped(torch.bmm(part, keys.transpose(1, 2)), softcap)
            shaped = scores.view(groups, heads // groups, block.stop - block.start, -1)
            shaped[..., self.trunk :] += block.mask.to(scores.device)
            mixed = torch.bmm(torch.softmax(scores, dim=-1), values).view(heads, block.stop - block.start, -1)
            out[block.start : block.stop] = mixed.transpose(0, 1)
        return out


def plan_blocks(tree: TokenTree, chunk: Chunk, dtype: torch.dtype) -> BlockPlan:
    """The plan of a chunk: pure."""
    attends = tree.attends(chunk)
    trunk = int((tree.end[chunk.path] >= chunk.stop).sum())  # subtree ends fall along a path, so these are its first nodes
    local = attends[:, trunk:]
    blocks = []
    for start in range(0, len(local), BLOCK):
        rows = local[start : start + BLOCK]
        seen = np.flatnonzero(rows.any(axis=0))
        low, high = _rounded(int(seen[0]), int(seen[-1]) + 1, trunk, local.shape[1])
        mask = torch.zeros(len(rows), high - low, dtype=dtype).masked_fill_(torch.as_tensor(~rows[:, low:high]), float("-inf"))
        blocks.append(Block(start, start + len(rows), trunk + low, trunk + high, mask))
    return BlockPlan(trunk, tuple(blocks))


def _rounded(low: int, high: int, trunk: int, count: int) -> tuple[int, int]:
    """The run of local columns made longer, to the left first, until it and the trunk are a multiple of STEP, or it is all of them."""
    wanted = -(-(trunk + high - low) // STEP) * STEP - trunk
    low = max(0, high - wanted)
    return low, min(count, low + wanted)


@dataclass(frozen=True)
class FlexPlan:
    """For CUDA; elsewhere flex attention runs unfused, which is how it is tested without a GPU."""

    mask: Any
    """torch BlockMask over (rows, columns)."""
    compiled: Any
    """`flex_attention`, compiled where that is worth it."""

    def attend(self, module: Any, query: Tensor, key: Tensor, value: Tensor, softcap: float | None) -> Tensor:
        """See Plan."""

        def cap(score: Tensor, *_: Tensor) -> Tensor:
            assert softcap is not None
            return softcap * torch.tanh(score / softcap)

        modify = cap if softcap is not None else None
        grouped = query.shape[1] != key.shape[1]
        out: Tensor = self.compiled(query, key, value, score_mod=modify, block_mask=self.mask, scale=1.0, enable_gqa=grouped)
        return out[0].transpose(0, 1)


def plan_flex(tree: TokenTree, chunk: Chunk, device: torch.device, compiled: Any) -> FlexPlan:
    """A row sees a column exactly when the column's interval holds it: column <= row < end[column]."""
    from torch.nn.attention.flex_attention import create_block_mask

    columns = np.concatenate([chunk.path, np.arange(chunk.start, chunk.stop)])
    node = torch.as_tensor(columns, device=device)
    end = torch.as_tensor(tree.end[columns], device=device)
    first = chunk.start

    def sees(_batch: Tensor, _head: Tensor, row: Tensor, column: Tensor) -> Tensor:
        return (node[column] <= row + first) & (row + first < end[column])

    mask = create_block_mask(sees, None, None, chunk.stop - chunk.start, len(columns), device=device)
    return FlexPlan(mask, compiled)


@dataclass
class DecodePlan:
    """One new token per row. Each layer's trunk is (G, P, d) twice; its own tokens stand in (rows, G, room, d) twice."""

    trunk: list[tuple[Tensor, Tensor]]
    """Keys and values that all rows share, by layer; empty for none."""
    own: list[tuple[Tensor, Tensor]]
    """Keys and values of each row's own tokens, by layer; columns from `length` on are not filled yet."""
    length: Tensor
    """(rows,): own tokens of each row so far, the new one not counted; it is written there."""

    def attend(self, module: Any, query: Tensor, key: Tensor, value: Tensor, softcap: float | None) -> Tensor:
        """See Plan. Writes the new token's key and value."""
        keys, values = self.own[module.layer_idx]
        _, heads, rows, size = query.shape
        groups, every = key.shape[1], torch.arange(rows, device=query.device)
        length = self.length.to(query.device)
        keys[every, :, length] = key[0].transpose(0, 1)
        values[every, :, length] = value[0].transpose(0, 1)
        room = int(length.max()) + 1
        per_row = query[0].view(groups, heads // groups, rows, size).permute(2, 0, 1, 3)  # (rows, G, H/G, d)
        scores = _capped(per_row @ keys[:, :, :room].transpose(2, 3), softcap)  # (rows, G, H/G, room)
        unfilled = torch.arange(room, device=query.device) > length[:, None]
        scores.masked_fill_(unfilled[:, None, None], float("-inf"))
        if not self.trunk:
            alone: Tensor = torch.softmax(scores, dim=-1) @ values[:, :, :room]
            return alone.reshape(rows, heads, -1)
        shared_keys, shared_values = self.trunk[module.layer_idx]
        flat = query[0].reshape(groups, -1, size)  # (G, H/G x rows, d)
        shared = _capped(torch.bmm(flat, shared_keys.transpose(1, 2)), softcap).view(groups, heads // groups, rows, -1)
        width = shared.shape[-1]
        weights = torch.softmax(torch.cat([shared.permute(2, 0, 1, 3), scores], dim=-1), dim=-1)
        of_trunk = weights[..., :width].permute(1, 2, 0, 3).reshape(groups, -1, width)
        mixed = torch.bmm(of_trunk, shared_values).view(groups, heads // groups, rows, -1).permute(2, 0, 1, 3)
        both: Tensor = mixed + weights[..., width:] @ values[:, :, :room]
        return both.reshape(rows, heads, -1)

    def keep(self, rows: Tensor) -> None:
        """Only these rows go on."""
        self.own = [(keys[rows.to(keys.device)], values[rows.to(values.device)]) for keys, values in self.own]
        self.length = self.length[rows]


_PLAN: ContextVar[Plan | None] = ContextVar("icl_attention_plan", default=None)


@contextmanager
def attending(config: Any, plan: Plan) -> Iterator[None]:
    """Inside, models of this configuration attend by the plan; outside, they are what they were."""
    own, token = config._attn_implementation, _PLAN.set(plan)
    config._attn_implementation = NAME
    try:
        yield
    finally:
        config._attn_implementation = own
        _PLAN.reset(token)


def register() -> None:
    """Makes the attention known to transformers. The mask is always given, so that its way of making one is never asked."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)


def attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, scaling: float | None = None, **kwargs: Any
) -> tuple[Tensor, Tensor | None]:
    """As transformers calls it: (1, H, rows, d) and twice (1, G, columns, d) → (1, rows, H, d).

    Raises NotImplementedError for a keyword with a value that no plan serves: the check at load then chooses another path.
    """
    plan = _PLAN.get()
    assert plan is not None, "the attention of the tree is chosen inside `attending` only"
    if kwargs.get("s_aux") is not None:
        raise NotImplementedError("attention sinks are not served by the tree")
    unknown = [name for name, given in kwargs.items() if name not in SERVED | HARMLESS and given is not None]
    if unknown:
        raise NotImplementedError(f"the attention does not know the keyword {', '.join(unknown)}")
    scaled = query * (scaling if scaling is not None else query.shape[-1] ** -0.5)
    return plan.attend(module, scaled, key, value, kwargs.get("softcap"))[None], None


def _capped(scores: Tensor, softcap: float | None) -> Tensor:
    return scores if softcap is None else (softcap * torch.tanh(scores.float() / softcap)).to(scores.dtype)
