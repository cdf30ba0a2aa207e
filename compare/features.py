"""Frozen features of a language model: the last hidden state at the last token of the template's query side, float32.

    x(query) = h_L(t_n),   t_1 … t_n = the whole query side, tokenised as one string (BOS by the tokenizer's own convention)

That is the state from which the model would write the answer. Each distinct text goes through the model once; all feature learners share
what was computed, and each is charged the forward passes of the texts that it used, whoever was first: also when the score store held it
(compare/kept.py), so that a comparison that goes on after a kill, or another one of the same texts, reads the same bits and pays nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from icl.encode import Encoder
from icl.engine.types import Engine, Progress, Work, silent
from icl.tokenise import tokenise_open
from prompts import PromptBuilder
from prompts.types import Prompt
from tasks import IclError, Query

if TYPE_CHECKING:
    from compare.kept import KeptFeatures

Rows = NDArray[np.float32]


class Features(Protocol):
    """Where feature learners get their vectors."""

    def vectors(self, task: str, queries: Sequence[Query]) -> Rows:
        """One row per query: shape (queries, width), float32. Raises IclError for a vector that is not finite (the engine checks)."""
        ...


@dataclass
class FeatureStore:
    """See the module's opening. `compute` many texts at once before a comparison; later calls are look-ups."""

    engine: Engine
    encoder: Encoder
    builders: Mapping[str, PromptBuilder]
    """Task → its prompts; the query side of each task is written by that task's own template."""
    window: int
    kept: KeptFeatures | None = None
    """What earlier comparisons computed; None computes everything."""
    _rows: dict[str, Rows] = field(default_factory=dict)
    _length: dict[str, int] = field(default_factory=dict)
    _seconds: dict[str, float] = field(default_factory=dict)
    """A text's share, by tokens, of the forward passes in which it was computed."""
    _written: dict[tuple[object, ...], str] = field(default_factory=dict)
    """Query sides by task, id and inputs: rendering them again for every learner took as long as comparing them."""

    def text(self, task: str, query: Query) -> str:
        """The query side of the task's template."""
        key = (task, query.id, *query.inputs.items())
        if key not in self._written:
            self._written[key] = self.builders[task].renderer.query(query)
        return self._written[key]

    def compute(self, texts: Iterable[str], progress: Progress = silent) -> None:
        """Makes the vectors of those texts that are not there yet, all in one call."""
        missing = [text for text in dict.fromkeys(texts) if text not in self._rows]
        if not missing:
            return
        ids = dict(zip(missing, tokenise_open(self.encoder, [Prompt("", "", text, "", ()) for text in missing]), strict=True))
        for text, sequence in ids.items():
            if len(sequence) > self.window:
                raise IclError(
                    f"a query side must fit the context window of {self.window} tokens, but one has {len(sequence)}: {text[:60]!r}…"
                )
        self._length.update({text: len(sequence) for text, sequence in ids.items()})
        found = self.kept.get(list(ids.values())) if self.kept else {}
        for text, sequence in ids.items():
            if (known := found.get(tuple(sequence))) is not None:
                self._seconds[text], self._rows[text] = known
        if self.kept:
            reused = [text for text in missing if text in self._rows]
            self.kept.ledger.spare(self.seconds_of(reused), self.work(reused))
        self._forward({text: sequence for text, sequence in ids.items() if text not in self._rows}, progress)

    def _forward(self, ids: Mapping[str, Sequence[int]], progress: Progress) -> None:
        """Computes these texts, and keeps them."""
        if not ids:
            return
        start = time.perf_counter()
        rows = self.engine.embed(list(ids.values()), progress, pool="last")
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

    def work(self, texts: Iterable[str]) -> Work:
        """Forward passes that these texts take, each distinct one once, whoever computed them."""
        lengths = [self._length[text] for text in dict.fromkeys(texts)]
        attended = sum(n * (n + 1) // 2 for n in lengths)
        return Work(tokens_unique=sum(lengths), tokens_total=sum(lengths), attended=attended)

    def seconds_of(self, texts: Iterable[str]) -> float:
        """Seconds of forward passes that these texts took, each distinct one once."""
        return sum(self._seconds[text] for text in dict.fromkeys(texts))
