"""What a span's log-probability is, as the engine computes it, with gradients: for training on the very scores that are compared.

    s(request) = Σ_t log p(token_t | tokens before it),   t in the scored span

All requests go through the model in one pass: packed into one token tree without padding where the engine uses the tree, else as one
batch padded on the right. The attention of the tree is made of plain differentiable products (icl/engine/attention.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from icl.engine.attention import plan_blocks
from icl.engine.forward import TreeForward
from icl.engine.hf import HFEngine
from icl.engine.types import ScoreRequest, Work
from icl.tree import TokenTree


def span_sums(engine: HFEngine, requests: Sequence[ScoreRequest], work: Work) -> Tensor:
    """(requests,), float32, differentiable in the engine's model. `work` gets what the pass computed."""
    if engine.uses_tree(max(len(r) for r in requests)):
        states, row = _packed(engine, requests, work)
    else:
        states, row = _padded(engine, requests, work)
    rows, index = np.unique(row, return_inverse=True)
    picked = states[torch.as_tensor(rows, device=states.device)]
    logits = engine.head.live(engine.model).logits(picked) if engine.head is not None else picked.float()
    work.scored_rows += len(rows)
    where = torch.as_tensor(index, device=logits.device)
    target = torch.as_tensor(np.concatenate([r.answer for r in requests]), device=logits.device)
    log_probs = logits[where, target] - logits.logsumexp(-1)[where]
    owner = np.repeat(np.arange(len(requests)), [len(r.answer) for r in requests])
    sums = torch.zeros(len(requests), dtype=torch.float32, device=logits.device)
    return sums.index_add(0, torch.as_tensor(owner, device=logits.device), log_probs)


def _packed(engine: HFEngine, requests: Sequence[ScoreRequest], work: Work) -> tuple[Tensor, NDArray[np.int64]]:
    """Last hidden states of the tree's nodes, and the node before each scored token."""
    tree = TokenTree.build([r.inputs for r in requests])
    chunk = next(tree.chunks(len(tree)))
    work.tokens_unique += len(tree)
    work.attended += tree.attended(chunk)
    plan = plan_blocks(tree, chunk, engine.model.dtype)
    states = TreeForward(engine.model).run(plan, tree.token, tree.depth)
    return states, np.concatenate([tree.tail(i, r.scored_from - 1) for i, r in enumerate(requests)])


def _padded(engine: HFEngine, requests: Sequence[ScoreRequest], work: Work) -> tuple[Tensor, NDArray[np.int64]]:
    """The same for whole sequences: states (rows x longest, width), and the position before each scored token in it."""
    distinct = list(dict.fromkeys(r.inputs for r in requests))
    values = engine.plain.run(distinct)  # (sequences, longest, width)
    work.tokens_unique += values.shape[0] * values.shape[1]
    work.attended += sum(len(s) * (len(s) + 1) // 2 for s in distinct)
    number = {sequence: i for i, sequence in enumerate(distinct)}
    at = [number[r.inputs] * values.shape[1] + np.arange(r.scored_from - 1, len(r) - 1) for r in requests]
    return values.flatten(0, 1), np.concatenate(at)
