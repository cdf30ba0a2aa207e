"""The token tree through a model: chunk by chunk, keys and values of the one path that the next chunk needs are kept, the rest is freed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from icl.engine.attention import Plan, attending, plan_blocks, plan_flex, register
from icl.engine.types import Work
from icl.tree import Chunk, TokenTree

KeyValues = list[tuple[Tensor, Tensor]]
"""By layer: keys and values, each (1, G, positions, d)."""


CELLS = 1 << 26
"""Rows times columns of a pass: those of 1,024 tokens become smaller on paths of more than 64,000 tokens, those of 8,192 on any path."""


@dataclass
class TreeForward:
    """Packed forward passes of a model whose attention is ours."""

    model: Any
    flex: Any = None
    """Compiled flex attention, used instead of blocks; None for blocks."""
    device: torch.device = field(init=False)
    config: Any = field(init=False)

    def __post_init__(self) -> None:
        self.device = self.model.device
        self.config = self.model.config.get_text_config(decoder=True)
        register()

    def hidden(
        self, tree: TokenTree, budget: int, work: Work, *, first: int = 0, kept: KeyValues | None = None, nodes: NodeKeys | None = None
    ) -> Iterator[tuple[Chunk, Tensor]]:
        """Chunk by chunk, the last hidden states of its nodes: (nodes of the chunk, hidden).

        `kept` holds keys and values of the nodes before `first`, which must be the path to it; `nodes` collects those of every node.
        """
        from transformers import DynamicCache

        chunks = list(tree.chunks(budget, first, CELLS))
        for number, chunk in enumerate(chunks):
            cache: Any = DynamicCache(ddp_cache_data=kept) if kept else DynamicCache()
            states = self.run(
                self._plan(tree, chunk), tree.token[chunk.start : chunk.stop], tree.depth[chunk.start : chunk.stop], cache=cache
            )
            work.tokens_unique += chunk.stop - chunk.start
            work.attended += tree.attended(chunk)
            if nodes is not None:
                nodes.take(cache, chunk)
            yield chunk, states
            if number + 1 < len(chunks):
                kept = _path_of(cache, chunk, chunks[number + 1])

    def run(self, plan: Plan, tokens: Any, positions: Any, cache: Any = None) -> Tensor:
        """One packed pass of tokens at positions (both one-dimensional) → last hidden states (tokens, hidden)."""
        with attending(self.config, plan):
            output = self.model.base_model(
                input_ids=torch.as_tensor(tokens, device=self.device)[None],
                position_ids=torch.as_tensor(positions, device=self.device)[None],
                # The plan says who sees whom; a mask that is there keeps the model from making its own.
                attention_mask=torch.zeros(1, 1, 1, 1, dtype=self.model.dtype, device=self.device),
                past_key_values=cache,
                use_cache=cache is not None,
            )
        states: Tensor = output.last_hidden_state[0]
        return states

    def _plan(self, tree: TokenTree, chunk: Chunk) -> Plan:
        if self.flex is not None:
            return plan_flex(tree, chunk, self.device, self.flex)
        return plan_blocks(tree, chunk, self.model.dtype)


@dataclass
class NodeKeys:
    """Keys and values of all nodes of a tree from `first` on, by layer: each (G, nodes, d)."""

    count: int
    first: int
    layers: KeyValues = field(default_factory=list)

    def take(self, cache: Any, chunk: Chunk) -> None:
        """Copies what a chunk has just computed."""
        size = chunk.stop - chunk.start
        if not self.layers:
            self.layers = [
                (layer.keys.new_empty(layer.keys.shape[1], self.count - self.first, layer.keys.shape[3]),
                 layer.values.new_empty(layer.values.shape[1], self.count - self.first, layer.values.shape[3]))
                for layer in cache.layers
            ]  # fmt: skip
        at = slice(chunk.start - self.first, chunk.stop - self.first)
        for (keys, values), layer in zip(self.layers, cache.layers, strict=True):
            keys[:, at] = layer.keys[0, :, -size:]
            values[:, at] = layer.values[0, :, -size:]


def _path_of(cache: Any, chunk: Chunk, following: Chunk) -> KeyValues | None:
    """Keys and values of the next chunk's path, picked from this chunk's path and nodes; None when it begins at the root."""
    if not len(following.path):
        return None
    have = np.concatenate([chunk.path, np.arange(chunk.start, chunk.stop)])
    index = torch.as_tensor(np.searchsorted(have, following.path))
    return [
        (layer.keys.index_select(2, index.to(layer.keys.device)), layer.values.index_select(2, index.to(layer.values.device)))
        for layer in cache.layers
    ]
