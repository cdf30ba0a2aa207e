"""Who answers what: `predictions.parquet` as arrays, agreement between learners, calibration of each. Pure functions.

A query of a failed episode has no answer. It counts as wrong (the referee's accuracy counts it as chance), and is left out where two
answers or a confidence are compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compare.types import FloatArray, IntArray
from icl.metrics import Outcome

HARDEST = 10
"""Queries listed."""


@dataclass(frozen=True)
class Answers:
    """One learner at one K on all queries of the episodes that it played, in the same order for every learner."""

    learner: str
    k_shot: int
    queries: tuple[tuple[str, str], ...]
    """Episode and query: (n,)."""
    given: IntArray
    """Code of the answered label, the same code for every learner; −1 for no answer: (n,)."""
    target: IntArray
    """Code of the right label: (n,)."""
    log_probs: FloatArray
    """Normalised over the labels in play; NaN for no answer: (n, labels in play)."""
    place: IntArray
    """Column of the right label: (n,)."""

    @cached_property
    def answered(self) -> NDArray[np.bool_]:
        """(n,)."""
        return np.asarray(self.given >= 0)

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        """(n,); False where there is no answer."""
        return np.asarray(self.given == self.target)

    def first(self, n: int) -> Answers:
        """Of the first n queries."""
        arrays = {name: getattr(self, name)[:n] for name in ("queries", "given", "target", "log_probs", "place")}
        return replace(self, **arrays)

    def outcomes(self) -> list[Outcome]:
        """Of the episodes that have answers."""
        episodes = np.array([episode for episode, _ in self.queries])
        out = []
        for episode in dict.fromkeys(episodes[self.answered].tolist()):
            rows = np.flatnonzero(episodes == episode)
            out.append(Outcome(self.log_probs[rows], self.place[rows], tuple(self.queries[i][1] for i in rows)))
        return out


def read_answers(directory: Path) -> list[Answers]:
    """All answers of a comparison, in the order of the run."""
    import pyarrow.parquet as pq

    table = pq.read_table(directory / "predictions.parquet")
    columns: dict[str, Any] = {name: table[name].to_numpy() for name in ("learner", "k", "episode", "query", "candidate", "score")}
    code = {label: i for i, label in enumerate(table["candidate"].unique().to_pylist())}
    codes = {name: np.array([code.get(label, -1) for label in table[name].to_pylist()]) for name in ("predicted", "target", "candidate")}
    starts = _starts(columns["learner"], columns["k"])
    return [_answers(columns, codes, slice(a, b)) for a, b in zip(starts, [*starts[1:], len(table)], strict=True)]


def _starts(*columns: Any) -> list[int]:
    """Where a run of equal values begins."""
    new = np.zeros(len(columns[0]), dtype=bool)
    new[:1] = True
    for column in columns:
        new[1:] |= column[1:] != column[:-1]
    return [int(i) for i in np.flatnonzero(new)]


def _answers(columns: dict[str, Any], codes: dict[str, Any], part: slice) -> Answers:
    episode, query = columns["episode"][part], columns["query"][part]
    first = np.array(_starts(episode, query))
    ways = len(episode) // len(first)
    target = codes["target"][part][first]
    candidates = codes["candidate"][part].reshape(-1, ways)
    return Answers(
        learner=columns["learner"][part.start],
        k_shot=int(columns["k"][part.start]),
        queries=tuple(zip(episode[first].tolist(), query[first].tolist(), strict=True)),
        given=codes["predicted"][part][first],
        target=target,
        log_probs=columns["score"][part].astype(np.float64).reshape(-1, ways),
        place=(candidates == target[:, None]).argmax(axis=1),
    )


def in_common(of: Sequence[Answers]) -> list[Answers]:
    """On the queries that all of them were asked: a learner whose budget is used up has played the first episodes alone."""
    fewest = min(len(answers.queries) for answers in of)
    return [answers.first(fewest) for answers in of]


def agreement(a: Answers, b: Answers) -> float | None:
    """Share of the queries that both answer to which they give the same answer; None when there are none."""
    a, b = in_common((a, b))
    both = a.answered & b.answered
    return float((a.given == b.given)[both].mean()) if both.any() else None


@dataclass(frozen=True)
class Quadrants:
    """Shares of the queries that both were asked."""

    both: float
    only_a: float
    only_b: float
    neither: float


def quadrants(a: Answers, b: Answers) -> Quadrants:
    """Which of the two is right."""
    a, b = in_common((a, b))
    return Quadrants(
        float((a.right & b.right).mean()),
        float((a.right & ~b.right).mean()),
        float((~a.right & b.right).mean()),
        float((~a.right & ~b.right).mean()),
    )


@dataclass(frozen=True)
class Hard:
    """A query and who gets it wrong."""

    episode: str
    query: str
    wrong: int
    right: tuple[str, ...]
    """Learners that get it right."""


def hardest(of: Sequence[Answers], most: int = HARDEST) -> list[Hard]:
    """The queries that most learners get wrong, none that all get right; equal ones in the order of the episodes."""
    of = in_common(of)
    right = np.array([answers.right for answers in of])
    wrong = (~right).sum(axis=0)
    order = [int(i) for i in np.argsort(-wrong, kind="stable")[:most] if wrong[i]]
    return [Hard(*of[0].queries[i], int(wrong[i]), tuple(a.learner for a, r in zip(of, right[:, i], strict=True) if r)) for i in order]


def shared_errors(of: Sequence[Answers]) -> tuple[float, float]:
    """Share of queries that all learners get right, and that none does."""
    of = in_common(of)
    right = np.array([answers.right for answers in of])
    return float(right.all(axis=0).mean()), float((~right).all(axis=0).mean())
