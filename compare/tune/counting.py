"""An engine that says what its calls take, whether it computes them or finds them in the score store.

A search must cost the same on every machine and after every kill, whatever the store holds. So work is counted from the requests: a token
tree of all that an episode asks (what the setting takes), and one of those requests that no earlier episode of the search has asked (what
it is charged). Settings that differ in their calibration alone ask the same of their queries, and are charged for it once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compare.cost import tree_work
from icl.engine.types import Engine, Pooling, Progress, ScoreRequest, Work
from icl.tree import TokenTree

Ids = Sequence[int]


class CountingEngine:
    """See the module's opening. `paid`: marks of requests that have been charged; those of this engine are added."""

    def __init__(self, inner: Engine, paid: set[str]) -> None:
        self.inner, self.paid = inner, paid
        self.whole, self.charged = Work(), Work()
        self.marks: list[str] = []
        """Of what was charged here."""

    @property
    def work(self) -> Work:
        """See Engine."""
        return self.inner.work

    def score(self, requests: Sequence[ScoreRequest], progress: Progress) -> list[NDArray[np.float64]]:
        """See Engine.score."""
        self._count([mark("score", r.token_ids, r.scored_from) for r in requests], requests, tree_work)
        return self.inner.score(requests, progress)

    def generate(self, prompts: Sequence[Ids], max_new_tokens: int, stop: Sequence[str], progress: Progress) -> list[str]:
        """Not asked: written answers cannot be tuned for."""
        raise NotImplementedError("a search scores candidates, it writes nothing")

    def embed(self, sequences: Sequence[Ids], progress: Progress, pool: Pooling = "mean") -> NDArray[np.float32]:
        """See Engine.embed."""
        self._count([mark("embed", ids, pool) for ids in sequences], sequences, read_work)
        return self.inner.embed(sequences, progress, pool)

    def distributions(self, sequences: Sequence[Ids], progress: Progress) -> NDArray[np.float32]:
        """See Engine.distributions."""
        self._count([mark("distributions", ids, "") for ids in sequences], sequences, row_work)
        return self.inner.distributions(sequences, progress)

    def last_states(self, sequences: Sequence[Ids], progress: Progress) -> NDArray[np.float32]:
        """See Engine.last_states."""
        self._count([mark("last", ids, "") for ids in sequences], sequences, shared_work)
        return self.inner.last_states(sequences, progress)

    def _count(self, marks: Sequence[str], asked: Sequence[Any], work: Any) -> None:
        fresh = {name: item for name, item in zip(marks, asked, strict=True) if name not in self.paid}
        self.whole = plus(self.whole, work(asked)) if asked else self.whole
        self.charged = plus(self.charged, work(list(fresh.values()))) if fresh else self.charged
        self.paid.update(fresh)
        self.marks += fresh


def mark(kind: str, ids: Ids, detail: object) -> str:
    """Sixteen characters that stand for a request."""
    digest = hashlib.blake2b(f"{kind}\x1f{detail}\x1f".encode(), digest_size=8)
    digest.update(np.asarray(ids, dtype="<i4").tobytes())
    return digest.hexdigest()


def read_work(sequences: Sequence[Ids]) -> Work:
    """Of sequences that share nothing, each distinct one once."""
    lengths = [len(ids) for ids in {tuple(ids) for ids in sequences}]
    return Work(tokens_unique=sum(lengths), attended=sum(n * (n + 1) // 2 for n in lengths))


def shared_work(sequences: Sequence[Ids]) -> Work:
    """Of sequences whose common prefixes are read once."""
    tree = TokenTree.build([tuple(ids) for ids in sequences])
    return Work(tokens_unique=len(tree), attended=int((tree.depth + 1).sum()))


def row_work(sequences: Sequence[Ids]) -> Work:
    """The same, with a row of the head for each distinct sequence."""
    return plus(shared_work(sequences), Work(scored_rows=len({tuple(ids) for ids in sequences})))


def plus(a: Work, b: Work) -> Work:
    """The sum."""
    return Work(**{f.name: getattr(a, f.name) + getattr(b, f.name) for f in fields(Work)})
