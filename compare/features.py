"""Frozen features of queries: vectors that a model makes of texts, which no learner changes.

Which model and which text is the extractor's: hidden states of the language model, at the words of the prompt, or a sentence model
(compare/extractors.py). Each distinct text goes through it once; all feature learners share what was computed, and each is charged the
forward passes of the texts that it used, whoever was first: also when the score store held it (compare/kept.py), so that a comparison that
goes on after a kill, or another one of the same texts, reads the same bits and pays nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from icl.engine.types import Progress, silent
from tasks import Query

if TYPE_CHECKING:
    from compare.kept import KeptFeatures

Rows = NDArray[np.float32]


class Features(Protocol):
    """Where feature learners get their vectors."""

    def vectors(self, task: str, queries: Sequence[Query]) -> Rows:
        """One row per query: shape (queries, width), float32. Raises IclError for a vector that is not finite."""
        ...


class Extractor(Protocol):
    """A frozen model that makes vectors of texts."""

    def text(self, task: str, query: Query) -> str:
        """What stands for a query of that task."""
        ...

    def tokens(self, texts: Sequence[str]) -> list[tuple[int, ...]]:
        """What the model reads of each. Raises IclError for one that it cannot read whole, where it does not cut by itself."""
        ...

    def embed(self, ids: Mapping[str, tuple[int, ...]], progress: Progress) -> Rows:
        """Texts, each with its tokens → (texts, width), float32. Raises IclError for a vector that is not finite."""
        ...

    def flops(self, lengths: Sequence[int]) -> int:
        """Of one forward pass for each text of so many tokens."""
        ...


@dataclass
class FeatureStore:
    """See the module's opening. `compute` many texts at once before a comparison; later calls are look-ups."""

    extractor: Extractor
    kept: KeptFeatures | None = None
    """What earlier comparisons computed; None computes everything."""
    _rows: dict[str, Rows] = field(default_factory=dict)
    _length: dict[str, int] = field(default_factory=dict)
    _seconds: dict[str, float] = field(default_factory=dict)
    """A text's share, by tokens, of the forward passes in which it was computed."""
    _written: dict[tuple[object, ...], str] = field(default_factory=dict)
    """Texts by task, id and inputs: rendering them again for every learner took as long as comparing them."""

    def text(self, task: str, query: Query) -> str:
        """See Extractor."""
        key = (task, query.id, *query.inputs.items())
        if key not in self._written:
            self._written[key] = self.extractor.text(task, query)
        return self._written[key]

    def compute(self, texts: Iterable[str], progress: Progress = silent) -> None:
        """Makes the vectors of those texts that are not there yet, all in one call."""
        missing = [text for text in dict.fromkeys(texts) if text not in self._rows]
        if not missing:
            return
        ids = dict(zip(missing, self.extractor.tokens(missing), strict=True))
        self._length.update({text: len(sequence) for text, sequence in ids.items()})
        found = self.kept.get(list(ids.values())) if self.kept else {}
        for text, sequence in ids.items():
            if (known := found.get(sequence)) is not None:
                self._seconds[text], self._rows[text] = known
        if self.kept:
            reused = [text for text in missing if text in self._rows]
            self.kept.ledger.spare(self.seconds_of(reused), self.flops(reused))
        self._forward({text: sequence for text, sequence in ids.items() if text not in self._rows}, progress)

    def _forward(self, ids: Mapping[str, tuple[int, ...]], progress: Progress) -> None:
        """Computes these texts, and keeps them."""
        if not ids:
            return
        start = time.perf_counter()
        rows = self.extractor.embed(ids, progress)
        per_token = (time.perf_counter() - start) / sum(map(len, ids.values()))
        for (text, sequence), row in zip(ids.items(), rows, strict=True):
            self._rows[text], self._seconds[text] = row, per_token * len(sequence)
        if self.kept:
            self.kept.put((sequence, self._seconds[text], self._rows[text]) for text, sequence in ids.items())

    def vectors(self, task: str, queries: Sequence[Query]) -> Rows:
        """See Features."""
        texts = [self.text(task, query) for query in queries]
        self.compute(texts)
        return np.stack([self._rows[text] for text in texts]).astype(np.float32, copy=False)

    def flops(self, texts: Iterable[str]) -> int:
        """Forward passes that these texts take, each distinct one once, whoever computed them."""
        return self.extractor.flops([self._length[text] for text in dict.fromkeys(texts)])

    def seconds_of(self, texts: Iterable[str]) -> float:
        """Seconds of forward passes that these texts took, each distinct one once."""
        return sum(self._seconds[text] for text in dict.fromkeys(texts))
