"""A workload, and the files by which every program gets the very same one. Only numpy: other programs' environments read this too."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Workload:
    """What is to be scored, or (max_new_tokens > 0) the prompts after which is to be written. Texts and token ids say the same."""

    name: str
    title: str
    sequences: tuple[tuple[int, ...], ...]
    """Whole token sequences."""
    scored_from: tuple[int, ...]
    """Per sequence: tokens [scored_from, len) are scored. The whole length for prompts of a generation."""
    query: tuple[int, ...]
    """Per sequence: the index of its query. Sequences stand query by query."""
    contexts: tuple[str, ...]
    """Per query: the text before the answer."""
    continuations: tuple[str, ...]
    """Per sequence: the text of the scored answer."""
    max_new_tokens: int = 0
    slow_queries: int | None = None
    """How many queries a program that pays for every prompt is measured on; the rest is extrapolated. None: all."""

    @property
    def generates(self) -> bool:
        return self.max_new_tokens > 0

    @property
    def tokens_total(self) -> int:
        """Tokens that a program without any sharing puts through the model (a scored last token is only ever a target)."""
        return sum(map(len, self.sequences)) - (0 if self.generates else len(self.sequences))

    def first(self, queries: int) -> Workload:
        """The part of the first queries."""
        return self.first_sequences(sum(q < queries for q in self.query))

    def first_sequences(self, count: int) -> Workload:
        """The part of the first sequences; a query may lose candidates."""
        kept = self.query[:count]
        return replace(
            self, sequences=self.sequences[:count], scored_from=self.scored_from[:count], query=kept,
            contexts=self.contexts[: max(kept, default=-1) + 1], continuations=self.continuations[:count],
        )  # fmt: skip


def save(workload: Workload, path: Path) -> Path:
    """Token ids as arrays in one `.npz`, texts as JSON inside it."""
    texts = {
        "name": workload.name, "title": workload.title, "contexts": workload.contexts, "continuations": workload.continuations,
        "max_new_tokens": workload.max_new_tokens, "slow_queries": workload.slow_queries,
    }  # fmt: skip
    np.savez(
        path,
        ids=np.fromiter((token for sequence in workload.sequences for token in sequence), dtype=np.int32),
        lengths=np.asarray([len(s) for s in workload.sequences], dtype=np.int64),
        scored_from=np.asarray(workload.scored_from, dtype=np.int64),
        query=np.asarray(workload.query, dtype=np.int64),
        texts=np.frombuffer(json.dumps(texts).encode("utf-8"), dtype=np.uint8),
    )
    return path


def load(path: Path) -> Workload:
    """The inverse of `save`."""
    with np.load(path, allow_pickle=False) as file:
        texts = json.loads(file["texts"].tobytes())
        cuts = np.cumsum(file["lengths"])[:-1]
        sequences = tuple(tuple(part.tolist()) for part in np.split(file["ids"], cuts))
        scored_from, query = tuple(file["scored_from"].tolist()), tuple(file["query"].tolist())
    return Workload(
        name=texts["name"], title=texts["title"], sequences=sequences, scored_from=scored_from, query=query,
        contexts=tuple(texts["contexts"]), continuations=tuple(texts["continuations"]),
        max_new_tokens=texts["max_new_tokens"], slow_queries=texts["slow_queries"],
    )  # fmt: skip
