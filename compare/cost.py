"""What a comparison cost, split into meta-training, adapting and answering one query.

Seconds are wall clock. FLOPs are of computed work: forward passes of the language model by the formula of icl/cost.py, and the learner's
own arithmetic by the formula in its file. Features are computed once for all learners, but every learner that uses them is charged the
forward passes of the texts that it read (meta-train rows, support, queries), with their share, by tokens, of the seconds.

In-context learning without a kept prefix: adapting costs nothing and the demonstrations are read when queries come. In the table its cost
per query is what the engine computed, one reading of the demonstrations shared by the queries of an episode; `PrefixCosts` says what a
single query costs that comes alone, and what it costs when the keys and values of the demonstrations are kept from one query to the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from compare.features import FeatureStore
from compare.learners.types import Ledger
from compare.play import Played
from compare.types import LearningEpisode
from icl.cost import forward_flops
from icl.engine.types import Engine, ScoreRequest, Work
from icl.tree import TokenTree


@dataclass(frozen=True)
class Split:
    """A quantity in the three parts of a learner's life."""

    meta_train: float
    adapt: float
    """Mean per episode."""
    per_query: float
    """Mean over episodes and queries."""

    def to_json(self, digits: int = 6) -> dict[str, float]:
        """Plain values."""
        return {name: round(value, digits) if digits else round(value) for name, value in asdict(self).items()}


@dataclass(frozen=True)
class PrefixCosts:
    """FLOPs of in-context learning, mean over episodes (their first queries), content-free inputs of calibrations left out."""

    alone_per_query: int
    """Nothing kept: the demonstrations are read for every query."""
    kept_adapt: int
    """Keys and values of the demonstrations computed once …"""
    kept_per_query: int
    """… and read by every query."""
    prompt_tokens: tuple[int, ...]
    """Of the longest prompt of the two queries that were looked at: one number per episode, in their order …"""
    window: int
    """… and what the model can read at most."""


@dataclass(frozen=True)
class Meter:
    """Counts the operations of one language model, and of what makes the features."""

    model: Any
    engine: Engine
    store: FeatureStore
    ledger: Ledger = field(default_factory=Ledger)

    def so_far(self) -> int:
        """FLOPs of forward passes so far, but those of training (their formula is compare/training.py's)."""
        return forward_flops(self.model, self.engine.work) + self.ledger.flops + self.ledger.reused

    @contextmanager
    def apart(self) -> Iterator[None]:
        """What is computed inside is charged to no learner, and what the score store spares there is not told as spared."""
        ledger = self.ledger
        spared, reused, before = ledger.spared, ledger.reused, self.so_far()
        try:
            yield
        finally:
            ledger.spared, ledger.reused = spared, reused
            ledger.probing += self.so_far() - before

    def features(self, texts: Iterable[str]) -> tuple[float, int]:
        """Seconds and FLOPs of the features of these texts."""
        wanted = list(dict.fromkeys(texts))
        return self.store.seconds_of(wanted), self.store.flops(wanted)

    def support_texts(self, episode: LearningEpisode) -> list[str]:
        """What features of the support are made of."""
        return [self.store.text(episode.support.task, query) for query in episode.support.queries]

    def query_texts(self, episode: LearningEpisode) -> list[str]:
        """What features of the queries are made of."""
        return [self.store.text(episode.support.task, query) for query in episode.queries]

    def meta_texts(self, episodes: Sequence[LearningEpisode]) -> list[str]:
        """What features of all rows of meta-train or meta-validation episodes are made of."""
        return [text for episode in episodes for text in (*self.support_texts(episode), *self.query_texts(episode))]

    def prefix_costs(self, requests: Sequence[tuple[Sequence[ScoreRequest], Sequence[ScoreRequest]]], window: int) -> PrefixCosts:
        """`requests`: for each of some episodes the requests of one query, then of another; `window`: of the model, in tokens."""
        alone, kept = [], []
        for first, second in requests:
            ids = [r.token_ids for r in (*first, *second)]
            shared = next((i for i, column in enumerate(zip(*ids, strict=False)) if len(set(column)) > 1), min(map(len, ids)))
            alone.append(forward_flops(self.model, tree_work(first)))
            kept.append(forward_flops(self.model, Work(tokens_unique=shared, attended=shared * (shared + 1) // 2)))
        longest = tuple(max(len(request) for request in (*first, *second)) for first, second in requests)
        return PrefixCosts(round(np.mean(alone)), round(np.mean(kept)), round(np.mean(alone) - np.mean(kept)), longest, window)


def tree_work(requests: Sequence[ScoreRequest]) -> Work:
    """What scoring these requests alone computes when their common prefixes are computed once."""
    tree = TokenTree.build([request.inputs for request in requests])
    scored = {int(node) for i, request in enumerate(requests) for node in tree.nodes(i)[request.scored_from - 1 :]}
    return Work(tokens_unique=len(tree), attended=int((tree.depth + 1).sum()), scored_rows=len(scored))


def splits(played: Sequence[Played], meta: tuple[float, int], meter: Meter | None) -> tuple[Split, Split]:
    """Seconds and FLOPs of a learner at one K. `meta`: of its meta-training; `meter`: charges features, None for who reads none."""
    adapt_s, query_s, adapt_f, query_f = [], [], [], []
    for p in played:
        support, queries = (0.0, 0), (0.0, 0)
        if meter is not None:
            support, queries = meter.features(meter.support_texts(p.episode)), meter.features(meter.query_texts(p.episode))
        n = len(p.episode.queries)
        adapt_s.append(p.adapt_seconds + support[0])
        adapt_f.append(p.adapt_flops + support[1])
        query_s.append((p.predict_seconds + queries[0]) / n)
        query_f.append((p.predict_flops + queries[1]) / n)
    return (
        Split(meta[0], float(np.mean(adapt_s)), float(np.mean(query_s))),
        Split(meta[1], float(np.mean(adapt_f)), float(np.mean(query_f))),
    )
