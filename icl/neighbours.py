"""How far queries are from anchors: the rows of the table `neighbours`, which `knn-prompting` and `hidden` are computed from.

The numbers are kept, not what they are made of: a next-token distribution takes some 200 kB, a query's divergences from all anchors one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icl.engine.types import Engine, Progress
from icl.plan import Item
from icl.runs.tables import Rows

SLICE = 256
"""Queries whose distributions are in memory at once: 256 x 49,152 float32 are 50 MB."""
COLUMNS = 8192
"""Tokens of the vocabulary that are summed at once, in float64."""


def neighbour_rows(episode: str, items: Sequence[Item], parts: Iterable[str], engine: Engine, progress: Progress) -> Rows:
    """A row per query and part, queries in their order."""
    found: dict[str, dict[str, Any]] = {}
    for anchors, queries in _groups(items):
        labels = [item.example.target for item in anchors if item.example is not None]
        names = [item.query.id for item in anchors]
        before, ahead = [_ahead(item) for item in anchors], [_ahead(item) for item in queries]
        for part in parts:
            if part == "divergence":
                distances, of = divergences(engine, before, ahead, progress), (names, labels)
            else:
                known = list(dict.fromkeys(labels))
                distances, of = from_centroids(engine.last_states([*before, *ahead], progress), labels, known), (known, known)
            for item, row in zip(queries, distances, strict=True):
                found[f"{item.query.id}\0{part}"] = {
                    "episode": episode, "query": item.query.id, "part": part, "names": of[0], "labels": of[1], "distances": row.tolist()
                }  # fmt: skip
    asked = [item.query.id for item in items if item.part == "query"]
    return [found[f"{query}\0{part}"] for query in asked for part in parts]


def divergences(engine: Engine, anchors: Sequence[list[int]], queries: Sequence[list[int]], progress: Progress) -> NDArray[np.float64]:
    """KL(p_anchor ‖ p_query) = Σ_v p_anchor(v) (log p_anchor(v) − log p_query(v)) in nats, (queries, anchors)."""
    log_p = engine.distributions(anchors, progress)
    out = np.zeros((len(queries), len(anchors)))
    for start in range(0, len(queries), SLICE):
        log_q = engine.distributions(queries[start : start + SLICE], progress)
        for column in range(0, log_p.shape[1], COLUMNS):
            of_anchors, of_queries = (rows[:, column : column + COLUMNS].astype(np.float64) for rows in (log_p, log_q))
            p = np.exp(of_anchors)
            out[start : start + SLICE] += (p * of_anchors).sum(axis=1) - of_queries @ p.T
    return np.maximum(out, 0)  # of equal distributions, rounding may leave a little less than 0


def from_centroids(states: NDArray[np.float32], labels: Sequence[str], known: Sequence[str]) -> NDArray[np.float64]:
    """Euclidean distances of the states behind the first len(labels) ones from the centroids of those, (queries, known labels)."""
    exact = states.astype(np.float64)
    anchors, queries = exact[: len(labels)], exact[len(labels) :]
    centroids = np.stack([anchors[[of == label for of in labels]].mean(axis=0) for label in known])
    return np.stack([np.linalg.norm(queries - centroid, axis=1) for centroid in centroids], axis=1)


def _groups(items: Sequence[Item]) -> list[tuple[list[Item], list[Item]]]:
    """Anchors with the queries that they are compared with: those of the same context."""
    owned: dict[str, list[Item]] = {}
    for item in items:
        if item.part == "anchor":
            owned.setdefault(item.belongs_to, []).append(item)
    groups: dict[tuple[tuple[int, ...], ...], tuple[list[Item], list[Item]]] = {}
    for item in items:
        if item.part == "query":
            anchors = owned.get(item.query.id) or owned[""]
            key = tuple(tuple(_ahead(anchor)) for anchor in anchors)
            groups.setdefault(key, (anchors, []))[1].append(item)
    return list(groups.values())


def _ahead(item: Item) -> list[int]:
    """The tokens before the first one that is scored: the model's next is the answer's."""
    request = item.requests[0]
    return list(request.context)
