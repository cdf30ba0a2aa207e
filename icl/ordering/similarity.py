"""By similarity to the query: ascending puts the nearest last, beside the query (Liu et al. 2022), descending puts it first.

sim(x, e) = cosine of the mean last hidden states of the inputs. Ties keep the order that the selector gave.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from icl.ordering.types import Pool
from icl.selection.types import Embed, embed_pool, text_of, unit
from tasks.types import Example, Query


@dataclass(frozen=True)
class SimilarityOrder:
    """Every query has an order of its own, so a context is shared by nobody."""

    embed: Embed
    descending: bool = False
    per_query: bool = True

    def arrange(self, shown: Sequence[Example], pool: Pool, query: Query | None, rng: np.random.Generator) -> list[int]:
        assert query is not None
        if not shown:
            return []
        similarity = embed_pool(self.embed, shown) @ unit(self.embed([text_of(query)]))[0]
        return [int(i) for i in np.argsort(-similarity if self.descending else similarity, kind="stable")]
