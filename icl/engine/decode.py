"""Greedy answers on the tree: what prompts share is read once and never copied; rows that have ended leave the batch.

The tokens that *all* prompts share are the trunk: their keys and values are computed once and multiplied with all rows as one matrix.
A batch of ROWS prompts is read as a token tree below the trunk; then each step is one packed pass of one token per row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from icl.engine.attention import DecodePlan
from icl.engine.forward import KeyValues, NodeKeys
from icl.engine.greedy import check_finite, cut, text_of
from icl.engine.types import Progress
from icl.tree import TokenTree, common_prefix

if TYPE_CHECKING:
    from icl.engine.hf import HFEngine

ROWS = 32
"""Sequences decoded together: a step costs little more for them than for one, since it reads every weight anyway."""


def generate_shared(
    engine: HFEngine, prompts: Sequence[Sequence[int]], max_new_tokens: int, stop: Sequence[str], progress: Progress
) -> list[str]:
    """See Engine.generate. Prompts are sorted by length, so that rows of a batch have about as much of their own."""
    shared = min(common_prefix(prompts), min(map(len, prompts)) - 1)
    trunk = _trunk(engine, prompts[0][:shared], progress) if shared else []
    out = [""] * len(prompts)
    order = sorted(range(len(prompts)), key=lambda i: (len(prompts[i]), i))
    for start in range(0, len(order), ROWS):
        rows = order[start : start + ROWS]
        batch = _Batch(engine, trunk, shared, [tuple(prompts[i]) for i in rows], max_new_tokens, stop, progress)
        for i, text in zip(rows, batch.write(), strict=True):
            out[i] = text
    return out


def _trunk(engine: HFEngine, prefix: Sequence[int], progress: Progress) -> KeyValues:
    """Keys and values of the shared prefix, by layer: each (1, G, prefix, d)."""
    assert engine.forward is not None
    tree = TokenTree.build([prefix])
    nodes = NodeKeys(len(tree), 0)
    for chunk, _ in engine.forward.hidden(tree, engine.batch_tokens, engine.work, nodes=nodes):
        progress(chunk.stop - chunk.start, 0)
    return [(keys[None], values[None]) for keys, values in nodes.layers]


class _Batch:
    """Prompts that are read and then continued together."""

    def __init__(
        self, engine: HFEngine, trunk: KeyValues, shared: int, prompts: list[tuple[int, ...]],
        max_new_tokens: int, stop: Sequence[str], progress: Progress,
    ) -> None:  # fmt: skip
        assert engine.forward is not None
        self.engine, self.forward = engine, engine.forward
        self.trunk, self.shared, self.prompts = trunk, shared, prompts
        self.most, self.stop, self.progress = max_new_tokens, stop, progress

    def write(self) -> list[str]:
        """One answer per prompt."""
        engine = self.engine
        assert engine.head is not None
        hidden, plan = self._read()
        written: list[list[int]] = [[] for _ in self.prompts]
        active = list(range(len(self.prompts)))
        while True:
            logits = engine.head.logits(hidden)
            check_finite(logits)
            engine.work.scored_rows += len(active)
            chosen = logits.argmax(-1).cpu()
            going = [b for b, token in enumerate(chosen.tolist()) if self._goes_on(written[active[b]], token)]
            if not going:
                return [cut(text_of(engine, tokens), self.stop)[0] for tokens in written]
            if len(going) < len(active):
                rows = torch.tensor(going)
                plan.keep(rows)
                chosen, active = chosen[rows], [active[b] for b in going]
            positions = self.shared + plan.length
            hidden = self.forward.run(plan, chosen, positions)
            plan.length = plan.length + 1
            self._count(len(active), int(positions.sum()) + len(active))

    def _goes_on(self, written: list[int], token: int) -> bool:
        """Adds the token to an answer unless it ends it; whether the answer needs another one."""
        if token in self.engine.ends:
            return False
        written.append(token)
        return len(written) < self.most and not cut(text_of(self.engine, written), self.stop)[1]

    def _read(self) -> tuple[Tensor, DecodePlan]:
        """The prompts below the trunk: last hidden state of each (rows, hidden), and the plan for what follows."""
        engine, shared = self.engine, self.shared
        tree = TokenTree.build(self.prompts)
        nodes = NodeKeys(len(tree), shared)
        lasts = torch.as_tensor(tree.leaf)
        hidden: list[Tensor] = []
        for chunk, states in self.forward.hidden(
            tree, engine.batch_tokens, engine.work, first=shared, kept=self.trunk or None, nodes=nodes
        ):
            hidden.append(states)
            self.progress(chunk.stop - chunk.start, 0)
        engine.work.tokens_total += sum(map(len, self.prompts))
        states = torch.cat(hidden)
        length = torch.tensor([len(prompt) - shared for prompt in self.prompts])
        index = np.zeros((len(self.prompts), int(length.max())), dtype=np.int64)
        for row in range(len(self.prompts)):
            own = tree.tail(row, shared)
            index[row, : len(own)] = own - shared
        plan = DecodePlan(
            [(keys[0], values[0]) for keys, values in self.trunk],
            [(self._own(keys, index), self._own(values, index)) for keys, values in nodes.layers],
            length,
        )
        return states[(lasts - shared).to(states.device)], plan

    def _own(self, of_nodes: Tensor, index: np.ndarray[tuple[int, int], np.dtype[np.int64]]) -> Tensor:
        """(G, nodes, d) → (rows, G, room, d): each row's own tokens, and room for what it will write."""
        rows, width = index.shape
        picked = of_nodes[:, torch.as_tensor(index, device=of_nodes.device)]  # (G, rows, width, d)
        out = of_nodes.new_zeros(rows, of_nodes.shape[0], width + self.most, of_nodes.shape[2])
        out[:, :, :width] = picked.transpose(0, 1)
        return out

    def _count(self, tokens: int, attended: int) -> None:
        work = self.engine.work
        work.tokens_unique += tokens
        work.tokens_total += tokens
        work.attended += attended
        self.progress(tokens, 0)
