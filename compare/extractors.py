"""Who makes frozen features: the language model itself, or a sentence model beside it (`--embedder`).

    hidden states:   x(query) = h_L(t_n),   t_1 … t_n = the whole query side, tokenised as one string (BOS by the tokenizer's convention)
    sentence model:  x(query) = its own pooling over the texts of the query's fields, without the template

The first is the state from which the model would write the answer. The second is trained to put texts of one meaning near each other,
and knows nothing of the template: what it costs is counted by the same formula (icl/cost.py), with attention from every token to all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from compare.features import Rows
from compare.learners.types import Ledger
from icl.cost import forward_flops
from icl.encode import Encoder
from icl.engine.types import Progress, Work
from icl.selection.types import text_of
from icl.tokenise import tokenise_open
from prompts import PromptBuilder
from prompts.types import Prompt
from tasks import IclError, Query

if TYPE_CHECKING:
    from icl.engine.hf import HFEngine
    from icl.sentences import SentenceModel


@dataclass(frozen=True)
class HiddenStates:
    """Of the compared language model, float32."""

    engine: HFEngine
    encoder: Encoder
    builders: Mapping[str, PromptBuilder]
    """Task → its prompts; the query side of each task is written by that task's own template."""
    window: int
    """Longest text, in tokens."""

    def text(self, task: str, query: Query) -> str:
        """The query side of the task's template."""
        return self.builders[task].renderer.query(query)

    def tokens(self, texts: Sequence[str]) -> list[tuple[int, ...]]:
        """See Extractor."""
        found = tokenise_open(self.encoder, [Prompt("", "", text, "", ()) for text in texts])
        for text, ids in zip(texts, found, strict=True):
            if len(ids) > self.window:
                raise IclError(f"a query side must fit the context window of {self.window} tokens, but one has {len(ids)}: {text[:60]!r}…")
        return [tuple(ids) for ids in found]

    def embed(self, ids: Mapping[str, tuple[int, ...]], progress: Progress) -> Rows:
        """See Extractor. The engine counts the work."""
        return self.engine.embed(list(ids.values()), progress, pool="last")

    def flops(self, lengths: Sequence[int]) -> int:
        """See Extractor: causal, so position n attends to n."""
        return forward_flops(self.engine.model, Work(tokens_unique=sum(lengths), attended=sum(n * (n + 1) // 2 for n in lengths)))


@dataclass(frozen=True)
class Sentences:
    """Vectors of a sentence model."""

    model: SentenceModel
    ledger: Ledger
    """Counts its work, which no engine does."""

    def text(self, task: str, query: Query) -> str:
        """The query's fields, as selectors that compare embeddings read them."""
        return text_of(query)

    def tokens(self, texts: Sequence[str]) -> list[tuple[int, ...]]:
        """See Extractor. The model cuts by itself."""
        return self.model.tokens(texts)

    def embed(self, ids: Mapping[str, tuple[int, ...]], progress: Progress) -> Rows:
        """See Extractor."""
        lengths = [len(sequence) for sequence in ids.values()]
        self.ledger.flops += self.flops(lengths)
        vectors = self.model.encode(list(ids))
        progress(sum(lengths), sum(lengths))
        return vectors.astype(np.float32, copy=False)

    def flops(self, lengths: Sequence[int]) -> int:
        """See Extractor."""
        return self.model.flops(lengths)
