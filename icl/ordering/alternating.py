"""Label-alternating: one demonstration of each label in turn, so that no label owns the end of the context (recency, Zhao et al. 2021).

Labels take turns in the order in which they first appear, the examples of a label keep theirs; a label that has run out is passed over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from icl.ordering.types import Pool
from tasks.types import Example, Query


@dataclass(frozen=True)
class AlternatingOrder:
    """For targets that repeat: labels, or letters."""

    per_query: bool = False

    def arrange(self, shown: Sequence[Example], pool: Pool, query: Query | None, rng: np.random.Generator) -> list[int]:
        by_label: dict[str, list[int]] = {}
        for i, example in enumerate(shown):
            by_label.setdefault(example.target, []).append(i)
        return [i for turn in zip_longest(*by_label.values()) for i in turn if i is not None]
