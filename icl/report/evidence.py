"""What stands behind the metrics, derived again from the raw tables: confusions, reliability, label shares, single answers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icl.metrics import BINS, Outcome, reliability
from icl.metrics.means import exact
from icl.results import EpisodeScores
from icl.runs.tables import Rows

CONFIDENT = 10
"""Mistakes shown."""
WRITTEN = 5
"""Right and wrong generated answers shown, each."""
TAIL = 280
"""Characters of a query in a list."""


@dataclass(frozen=True)
class Answer:
    """One query with what the model said; the parts of its prompt as the model read them."""

    query: str
    episode: str
    excerpt: str
    """The end of the context: the query itself where the demonstrations are shared."""
    context: str
    span: str
    """The scored characters, or what the model wrote."""
    predicted: str
    target: str
    right_span: str
    """What would have been right, as it would have been scored; for generation the accepted answers."""
    probability: float | None = None
    target_probability: float | None = None
    dropped: int = 0


def confusion_counts(outcomes: Sequence[Outcome], labels: Sequence[str]) -> NDArray[np.int64]:
    """(target, predicted) counts over all episodes."""
    place = {label: i for i, label in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels)), dtype=np.int64)
    for outcome in outcomes:
        assert outcome.candidates is not None
        column = np.array([place[label] for label in outcome.candidates])
        np.add.at(counts, (column[outcome.target], column[outcome.predicted]), 1)
    return counts


def confusion_cells(counts: NDArray[np.int64], labels: Sequence[str]) -> Rows:
    """One row per cell: target, predicted, count, share of the target's queries."""
    total = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    shares = (counts / total).tolist()
    n = range(len(labels))
    return [{"target": labels[t], "predicted": labels[p], "count": int(counts[t, p]), "share": shares[t][p]} for t in n for p in n]


def confused_pairs(counts: NDArray[np.int64], labels: Sequence[str], most: int = 20) -> Rows:
    """The largest cells off the diagonal, none that is empty."""
    wrong = [cell for cell in confusion_cells(counts, labels) if cell["target"] != cell["predicted"] and cell["count"]]
    return sorted(wrong, key=lambda cell: -cell["count"])[:most]


def reliability_rows(outcomes: Sequence[Outcome]) -> Rows:
    """Bins that hold queries, pooled over episodes."""
    bins = reliability(np.concatenate([o.confidence for o in outcomes]), np.concatenate([o.correct for o in outcomes]))
    return [
        {
            "low": b / BINS,
            "high": (b + 1) / BINS,
            "confidence": float(bins.confidence[b]),
            "accuracy": float(bins.accuracy[b]),
            "count": int(bins.count[b]),
            "share": float(bins.count[b] / bins.count.sum()),
        }
        for b in range(BINS)
        if bins.count[b]
    ]


def guessing(episodes: Sequence[EpisodeScores]) -> float:
    """Accuracy of a guess among each query's candidates."""
    return float(np.mean(np.concatenate([1.0 / np.isfinite(episode.scores.logprob).sum(axis=1) for episode in episodes])))


OF_PROMPTS = ("episode", "query", "context", "dropped")
"""Columns that `Prompts` reads."""


class Prompts:
    """A few prompts of a run, and what the prompts of each episode share. All are looked at once, some at a time, and few are kept."""

    def __init__(self, batches: Iterable[Rows], wanted: Collection[tuple[str, str]]) -> None:
        self._rows = dict[tuple[str, str], dict[str, Any]]()
        ends = dict[str, list[str]]()  # the first and the last in alphabetical order differ earliest
        for rows in batches:
            for row in rows:
                key = row["episode"], row["query"]
                if key in wanted:
                    self._rows[key] = row
                seen = [*ends.get(row["episode"], ()), row["context"]]
                ends[row["episode"]] = seen if len(seen) < 2 else [min(seen), max(seen)]
        self._shared = {episode: shared_start(texts) for episode, texts in ends.items()}

    def parts(self, episode: str, query: str) -> dict[str, Any]:
        """The fields of an `Answer` that come from its prompt."""
        row = self._rows[episode, query]
        own = row["context"][self._shared[episode] :].strip()
        excerpt = own if len(own) <= TAIL else f"… {own[-TAIL:]}"
        return {"query": query, "episode": episode, "excerpt": excerpt, "context": row["context"], "dropped": row["dropped"]}


def shared_start(texts: Sequence[str]) -> int:
    """Length of the longest common beginning that ends with a line; 0 for a single text."""
    if len(texts) < 2:
        return 0
    first, last = min(texts), max(texts)
    same = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first.rfind("\n", 0, same) + 1


def confident_mistakes(
    episodes: Sequence[EpisodeScores], outcomes: Sequence[Outcome], predictions: Rows, prompts: Iterable[Rows]
) -> list[Answer]:
    """The wrong predictions of highest probability, a query once; equal ones in order of the tables. `prompts`: OF_PROMPTS in batches."""
    texts = {(row["episode"], row["query"], row["candidate"]): row["text"] for row in reversed(predictions) if row["logprob"] is not None}
    wrong = [
        (float(outcome.confidence[q]), e, q) for e, outcome in enumerate(outcomes) for q in np.flatnonzero(outcome.correct == 0).tolist()
    ]
    chosen: dict[str, tuple[float, int, int]] = {}
    for probability, e, q in sorted(wrong, key=lambda item: (-item[0], item[1], item[2])):
        if len(chosen) < CONFIDENT:
            chosen.setdefault(episodes[e].queries[q], (probability, e, q))
    index = Prompts(prompts, {(episodes[e].episode, query) for query, (_, e, _) in chosen.items()})
    return [_mistake(index, texts, episodes[e], outcomes[e], q, probability) for probability, e, q in chosen.values()]


def _mistake(
    index: Prompts, texts: Mapping[tuple[str, str, str], str], episode: EpisodeScores, outcome: Outcome, q: int, probability: float
) -> Answer:
    query, target, predicted = episode.queries[q], int(outcome.target[q]), int(outcome.predicted[q])
    return Answer(
        **index.parts(episode.episode, query),
        span=texts[episode.episode, query, episode.candidates[predicted]],
        predicted=episode.candidates[predicted],
        target=episode.candidates[target],
        right_span=texts[episode.episode, query, episode.candidates[target]],
        probability=probability,
        target_probability=float(np.exp(outcome.log_probs[q, target])),
    )


def written_answers(predictions: Rows, prompts: Iterable[Rows]) -> Mapping[str, list[Answer]]:
    """The first wrong and the first right generated answers, in the order of the tables, a query once. `prompts`: see above."""
    groups: dict[str, dict[str, dict[str, Any]]] = {"wrong": {}, "right": {}}
    for row in predictions:
        if row["candidate"]:
            continue
        right = any(exact(row["predicted"], answer) for answer in row["answers"])
        group = groups["right" if right else "wrong"]
        if len(group) < WRITTEN:
            group.setdefault(row["query"], row)
    index = Prompts(prompts, {(row["episode"], row["query"]) for group in groups.values() for row in group.values()})
    return {name: [_written(index, row) for row in group.values()] for name, group in groups.items()}


def _written(index: Prompts, row: Mapping[str, Any]) -> Answer:
    return Answer(
        **index.parts(row["episode"], row["query"]),
        span=row["text"],
        predicted=row["predicted"],
        target=row["target"],
        right_span=" · ".join(row["answers"]),
    )
