"""Whole sequences in batches, padded on the right, where no causal model can see the padding: exact for every architecture.

With a shared prefix (`PrefixBatches`) the model reads the tokens that all sequences begin with once, and each batch goes on from a clone of
the cache that the model itself made of them: keys and values with whatever window they have, or recurrent states.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from icl.engine.types import Work

Ids = tuple[int, ...]


@dataclass
class PlainBatches:
    """`states` gives a model's last hidden states, or its logits where the head is not a plain linear map."""

    model: Any
    logits: bool = False

    def states(self, sequences: Sequence[Ids], budget: int, work: Work) -> Iterator[tuple[Ids, Tensor]]:
        """Each of the (distinct) sequences with its states: (tokens, hidden or vocabulary)."""
        for batch in batches(sorted(sequences, key=lambda s: (len(s), s)), budget):
            values = self.run(batch)
            work.tokens_unique += sum(map(len, batch))
            work.attended += sum(len(s) * (len(s) + 1) // 2 for s in batch)
            for sequence, row in zip(batch, values, strict=True):
                yield sequence, row[: len(sequence)]

    def run(self, batch: Sequence[Ids], cache: Any = None) -> Tensor:
        """(rows, longest, width)."""
        ids = torch.zeros(len(batch), max(map(len, batch)), dtype=torch.long)
        for row, sequence in enumerate(batch):
            ids[row, : len(sequence)] = torch.as_tensor(sequence)
        model = self.model if self.logits else self.model.base_model
        known = {} if cache is None else {"past_key_values": cache}
        output = model(input_ids=ids.to(self.model.device), use_cache=cache is not None, **known)
        values: Tensor = output.logits if self.logits else output.last_hidden_state
        return values


@dataclass
class PrefixBatches:
    """Whether this is exact for a model is for the caller to check: some models go on from a cache by one token only."""

    plain: PlainBatches

    def states(self, sequences: Sequence[Ids], shared: int, budget: int, work: Work) -> Iterator[tuple[Ids, Tensor]]:
        """Each sequence with the states of its tokens from position `shared` on; all begin with the same `shared` tokens and have more."""
        prefix = sequences[0][:shared]
        cache = self._read(prefix)
        work.tokens_unique += shared
        work.attended += shared * (shared + 1) // 2
        for batch in batches(sorted({s[shared:] for s in sequences}, key=lambda s: (len(s), s)), budget):
            clone = copy.deepcopy(cache)
            clone.batch_repeat_interleave(len(batch))
            values = self.plain.run(batch, clone)
            work.tokens_unique += sum(map(len, batch))
            work.attended += sum(len(s) * shared + len(s) * (len(s) + 1) // 2 for s in batch)
            for suffix, row in zip(batch, values, strict=True):
                yield prefix + suffix, row[: len(suffix)]

    def _read(self, prefix: Ids) -> Any:
        ids = torch.as_tensor([prefix], device=self.plain.model.device)
        return self.plain.model.base_model(input_ids=ids, use_cache=True).past_key_values


def batches(sequences: Sequence[Ids], budget: int) -> Iterator[list[Ids]]:
    """Runs of sequences (sorted by length) whose padded size stays within `budget` tokens; a longer single one goes alone."""
    batch: list[Ids] = []
    for sequence in sequences:
        if batch and (len(batch) + 1) * max(len(sequence), len(batch[-1])) > budget:
            yield batch
            batch = []
        batch.append(sequence)
    if batch:
        yield batch
