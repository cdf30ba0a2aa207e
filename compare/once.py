"""Meta-training and playing, each done once: what the memory holds is taken from there, with the seconds and operations that it took.

A meta-training that diverges is kept, too: its learner fails every episode.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from compare.course import Course, Point
from compare.diverged import Diverged, DivergedLearner
from compare.journal import Memory, Record
from compare.play import Played
from compare.types import Footprint, Learner, LearningEpisode, Learns
from icl.metrics import predict

NUMBERS = ("adapt_seconds", "predict_seconds", "adapt_flops", "predict_flops")


@dataclass(frozen=True)
class Trained:
    """A meta-trained learner, and how it became one."""

    learner: Learner
    seconds: float
    """Of meta-training alone."""
    points: tuple[Point, ...]
    """Accuracy along the way; empty for a learner that learns nothing."""


def trained_once(memory: Memory, key: str, untrained: Learner, train: Callable[[], Learner], course: Course) -> Trained:
    """`course`: the one that the untrained learner has among its tools. Nothing is kept of a learner that learns nothing."""
    if isinstance(untrained, Learns) and (known := memory.get(key)) is not None:
        facts = known.facts
        points = tuple(Point.from_json(point) for point in facts["points"])
        return Trained(_as_it_was(untrained, known), facts["seconds"], points)
    try:
        with course.timed():
            learner = train()
    except Diverged as error:
        learner = DivergedLearner(untrained.name, str(error), untrained.transductive, error.flops)
        memory.put(key, Record({**_facts(error.flops, course), "diverged": str(error)}))
        return Trained(learner, course.seconds, tuple(course.points))
    if isinstance(learner, Learns):
        memory.put(key, Record(_facts(learner.meta_flops, course), learner.learnt()))
    return Trained(learner, course.seconds, tuple(course.points))


def _as_it_was(untrained: Learns, known: Record) -> Learner:
    if reason := known.facts.get("diverged"):
        return DivergedLearner(untrained.name, reason, untrained.transductive, known.facts["meta_flops"])
    return untrained.with_learnt(known.tensors, known.facts["meta_flops"])


def _facts(flops: int, course: Course) -> dict[str, Any]:
    return {"meta_flops": flops, "seconds": course.seconds, "points": [vars(point) for point in course.points]}


def played_once(memory: Memory, key: str, episode: LearningEpisode, play: Callable[[], Played]) -> Played:
    """The episode as it was played."""
    if (known := memory.get(key)) is not None:
        return _played(known, episode)
    played = play()
    memory.put(key, _record(played))
    return played


def _record(played: Played) -> Record:
    import torch

    facts: dict[str, Any] = {name: getattr(played, name) for name in NUMBERS}
    facts |= {"reason": played.reason, "footprint": asdict(played.footprint) if played.footprint else None}
    return Record(facts, {} if played.scores is None else {"scores": torch.from_numpy(played.scores)})


def _played(record: Record, episode: LearningEpisode) -> Played:
    facts = record.facts
    scores = record.tensors["scores"].numpy() if "scores" in record.tensors else None
    return Played(
        episode=episode,
        scores=scores,
        predicted=None if scores is None else predict(scores, [query.id for query in episode.queries]),
        reason=facts["reason"],
        footprint=Footprint(**facts["footprint"]) if facts["footprint"] else None,
        **{name: facts[name] for name in NUMBERS},
    )
