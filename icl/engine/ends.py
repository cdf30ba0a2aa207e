"""What stands at the end of whole sequences: the distribution of the next token, or the last hidden state. Float32, a slice at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from icl.engine.head import SLICE, Head
from icl.engine.plain import Ids
from tasks.errors import IclError

Ends = Callable[[list[Ids]], Iterable[tuple[list[int], Tensor]]]
"""Distinct sequences → pass by pass, which of them end in it and the states of their last tokens, (sequences of the pass, width)."""


def rows_of(sequences: Sequence[Sequence[int]], ends: Ends, make: Callable[[Tensor], Tensor], what: str) -> NDArray[np.float32]:
    """`make` of the state after each sequence, one row each. Raises IclError where one is not finite."""
    distinct: dict[Ids, int] = {}
    places = [distinct.setdefault(tuple(sequence), len(distinct)) for sequence in sequences]
    rows: list[NDArray[np.float32]] = [np.empty(0, dtype=np.float32)] * len(distinct)
    for found, states in ends(list(distinct)):
        for start in range(0, len(found), SLICE):  # no more than a slice is as wide as the vocabulary on the device
            made = make(states[start : start + SLICE]).cpu().numpy()
            for i, row in zip(found[start : start + SLICE], made, strict=True):
                rows[i] = row
    out = np.stack([rows[i] for i in places])
    if not np.isfinite(out).all():
        raise IclError(f"{what} must be finite numbers, but the model overflows in this dtype: try --dtype float32")
    return out


def next_token(head: Head | None, states: Tensor) -> Tensor:
    """(rows, hidden), or logits where the head is not a plain linear map → log-probabilities (rows, vocabulary)."""
    return (head.logits(states) if head is not None else states.float()).log_softmax(-1)
