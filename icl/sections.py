"""Sections: runs of an episode's queries that are scored in one call and committed whole.

A section is the unit of resuming and of sharing work between processes, and keeps memory flat however many queries an episode has. Where
it begins and ends is a pure function of the episodes, so an equal spec has equal token trees, whatever was killed or shared out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from icl.anchors import ANCHORS
from icl.calibration import OF_LABELS, get_calibrator
from icl.prepare import Prepared, has_own_contexts
from tasks import Query

REQUESTS = 16_384
"""Prompts of a section, at most about."""
QUERIES = 1_024
"""Queries of a section: what is held of each is its whole prompt, so this bounds memory. A shared context of 1,000 tokens is then computed
once for some twenty-five thousand tokens of queries."""


@dataclass(frozen=True)
class Section:
    """Queries [start, stop) of one episode."""

    name: str
    """Of its directory: the episode's id and the number."""
    episode: int
    """Position in the run's episodes."""
    number: int
    start: int
    stop: int


def sections_of(prepared: Prepared) -> list[Section]:
    """All sections of a run, in its order."""
    found: list[Section] = []
    spec = prepared.resolved.spec
    asks_pool = any(get_calibrator(name).needs in OF_LABELS - {"channel"} for name in spec.calibration)
    beside = 1 + ANCHORS if asks_pool and has_own_contexts(spec) else 1  # then every query's context is asked its anchors, too
    for position, (episode, (_, queries)) in enumerate(zip(prepared.episodes, prepared.pairs, strict=True)):
        asked = _candidates(episode.labels, [example.query() for example in queries]) * beside
        size = min(QUERIES, max(1, REQUESTS // asked))
        for number, start in enumerate(range(0, len(queries), size)):
            found.append(Section(f"{episode.id}.{number:04d}", position, number, start, min(start + size, len(queries))))
    return found


def _candidates(labels: Sequence[str], queries: Sequence[Query]) -> int:
    return max(1, len(labels), *(len(query.choices) for query in queries))
