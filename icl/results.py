"""From the tables of a run to its metrics: no model, no task, no randomness beyond keyed resampling. Can always be done again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icl.calibration import LabelScores, Neighbours, get_calibrator
from icl.calibration.length import LENGTHS
from icl.intervals import Estimate, summarise
from icl.metrics import GenerationOutcome, Outcome
from icl.runs.tables import Rows

CHOICE_METRICS = ("accuracy", "nll", "ece")
LABEL_METRICS = ("accuracy", "macro_f1", "mcc", "nll", "ece", "label_bias")
GENERATION_METRICS = ("exact_match", "token_f1")
PRIORS = ("content_free", "domain", "premise", "channel", "estimation")
"""Parts of the table `content_free`."""


@dataclass(frozen=True)
class EpisodeScores:
    """The raw scores of one episode."""

    episode: str
    queries: tuple[str, ...]
    candidates: tuple[str, ...]
    """Labels of the columns: the label set, or the letters up to the longest list of choices."""
    fixed: bool
    """Whether every query has all the candidates, with the same meaning; content-free scores exist only then."""
    scores: LabelScores
    target: NDArray[np.int64]
    """Column of the right candidate, (queries,)."""


def episode_scores(
    predictions: Rows, free: Rows, labels: Sequence[str], normalise: str = "none", neighbours: Rows | None = None
) -> list[EpisodeScores]:
    """Scored candidates by episode, in the tables' order. `labels`: the label set, empty when queries have candidates of their own.

    `normalise` says what every log-probability is divided by, see `LENGTHS`.
    """
    predictions, free = _by_length(predictions, normalise), _by_length(free, normalise)
    scored = [row for row in predictions if row["logprob"] is not None]
    free_of, near_of = _grouped(free, "episode"), _grouped(neighbours or [], "episode")
    return [
        _one_episode(episode, rows, free_of.get(episode, []), near_of.get(episode, []), labels)
        for episode, rows in _grouped(scored, "episode").items()
    ]


def _by_length(rows: Rows, normalise: str) -> Rows:
    """The rows with every log-probability divided by the length of its span."""
    if normalise == "none":
        return rows
    length = LENGTHS[normalise]

    def shorter(row: dict[str, Any]) -> dict[str, Any]:
        return {**row, "logprob": row["logprob"] / length(row["tokens"], row["text"])}

    return [row if row["logprob"] is None else shorter(row) for row in rows]


def _one_episode(episode: str, rows: Rows, free: Rows, near: Rows, labels: Sequence[str]) -> EpisodeScores:
    by_query = _grouped(rows, "query")
    longest = max(by_query.values(), key=len)
    present = [row["candidate"] for row in longest]
    # An episode may have fewer labels in play than the task has.
    candidates = tuple(label for label in labels if label in present) if labels else tuple(present)
    column = {label: i for i, label in enumerate(candidates)}
    logprob = np.full((len(by_query), len(candidates)), -np.inf)  # a choice that a query does not have cannot be chosen
    target = np.zeros(len(by_query), dtype=np.int64)
    for q, query_rows in enumerate(by_query.values()):
        for row in query_rows:
            of = column[row["candidate"]]
            logprob[q, of] = np.logaddexp(logprob[q, of], row["logprob"])  # a label has a row per word (icl.synonyms)
        target[q] = column[query_rows[0]["target"]]
    priors = {part: _free_array(free, part, column, list(by_query), logprob) for part in PRIORS}
    if (channel := priors["channel"]) is not None:  # p(x | label) is the mean over the label's words
        words = Counter(row["candidate"] for row in longest)
        priors["channel"] = channel - np.log([words[label] for label in candidates])
    divergence, hidden = (_neighbours(near, part, column, list(by_query)) for part in ("divergence", "hidden"))
    scores = LabelScores(logprob, divergence=divergence, hidden=hidden, **priors)
    return EpisodeScores(episode, tuple(by_query), candidates, bool(labels), scores, target)


def _neighbours(near: Rows, part: str, column: dict[str, int], queries: list[str]) -> Neighbours | None:
    """Distances with their labels' columns, (queries, most examples of any query), None when there are none; +inf fills the rest."""
    by_query = {row["query"]: row for row in near if row["part"] == part}
    if not by_query:
        return None
    distance = np.full((len(queries), max(len(row["distances"]) for row in by_query.values())), np.inf)
    label = np.zeros(distance.shape, dtype=np.int64)
    for q, query in enumerate(queries):
        row = by_query[query]
        distance[q, : len(row["distances"])] = row["distances"]
        label[q, : len(row["labels"])] = [column[of] for of in row["labels"]]
    return Neighbours(distance, label)


def _free_array(
    free: Rows, part: str, column: dict[str, int], queries: list[str], logprob: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """(queries or 1, inputs, candidates), None when there are none; -inf where `logprob` says that a query lacks a candidate."""
    rows = [row for row in free if row["part"] == part]
    if not rows:
        return None
    owners = _grouped(rows, "belongs_to")
    order = [""] if set(owners) == {""} else queries
    items = list(dict.fromkeys(row["item"] for row in rows))
    values = np.full((len(order), len(items), len(column)), np.nan)
    place = {item: i for i, item in enumerate(items)}
    for o, owner in enumerate(order):
        for row in owners.get(owner) or owners[""]:
            at = o, place[row["item"]], column[row["candidate"]]
            values[at] = row["logprob"] if np.isnan(values[at]) else np.logaddexp(values[at], row["logprob"])
    if len(order) == len(logprob):
        values[np.broadcast_to(np.isneginf(logprob)[:, None, :], values.shape)] = -np.inf
    return values


def metrics_of(
    predictions: Rows,
    free: Rows,
    labels: Sequence[str],
    calibrations: Sequence[str],
    normalise: str = "none",
    neighbours: Rows | None = None,
) -> dict[str, dict[str, Estimate]]:
    """Calibration → metric → estimate. Generated answers are under `none`, since nothing is calibrated there."""
    episodes = episode_scores(predictions, free, labels, normalise, neighbours)
    out: dict[str, dict[str, Estimate]] = {}
    for name in calibrations if episodes else ():
        outcomes = [outcome(episode, name) for episode in episodes]
        out[name] = summarise(outcomes, LABEL_METRICS if episodes[0].fixed else CHOICE_METRICS)
    written = [row for row in predictions if row["candidate"] == ""]
    if written:
        generated = [
            GenerationOutcome(
                texts=tuple(row["predicted"] for row in rows),
                answers=tuple(tuple(row["answers"]) for row in rows),
                query_ids=tuple(row["query"] for row in rows),
            )
            for rows in _grouped(written, "episode").values()
        ]
        out["none"] = {**summarise(generated, GENERATION_METRICS), **out.get("none", {})}
    return out


def outcome(episode: EpisodeScores, calibration: str) -> Outcome:
    """Calibrated, normalised log-probabilities of an episode with its right answers."""
    log_probs = get_calibrator(calibration)(episode.scores)
    return Outcome(log_probs, episode.target, episode.queries, episode.candidates if episode.fixed else None)


def metrics_json(metrics: dict[str, dict[str, Estimate]]) -> dict[str, Any]:
    """Plain values, as `summary.json` and `--json` hold them."""
    return {name: {metric: estimate.to_json() for metric, estimate in of.items()} for name, of in metrics.items()}


def _grouped(rows: Rows, key: str) -> dict[str, Rows]:
    groups: dict[str, Rows] = {}
    for row in rows:
        groups.setdefault(row[key], []).append(row)
    return groups
