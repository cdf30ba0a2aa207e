"""Meta-training and playing, each done once: what the memory holds is taken from there, with the seconds and operations that it took.

A meta-training that diverges is kept, too: its learner fails every episode.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from compare.diverged import Diverged, DivergedLearner
from compare.journal import Memory, Record
from compare.play import Played
from compare.types import Footprint, Learner, LearningEpisode, Learns
from icl.metrics import predict

NUMBERS = ("adapt_seconds", "predict_seconds", "adapt_flops", "predict_flops")


def trained_once(memory: Memory, key: str, untrained: Learner, train: Callable[[], Learner]) -> tuple[Learner, float]:
    """The meta-trained learner, and the seconds that meta-training took. Nothing is kept of a learner that learns nothing."""
    if isinstance(untrained, Learns) and (known := memory.get(key)) is not None:
        flops, seconds = known.facts["meta_flops"], known.facts["seconds"]
        if reason := known.facts.get("diverged"):
            return DivergedLearner(untrained.name, reason, untrained.transductive, flops), seconds
        return untrained.with_learnt(known.tensors, flops), seconds
    start = time.perf_counter()
    try:
        learner = train()
    except Diverged as error:
        learner, seconds = DivergedLearner(untrained.name, str(error), untrained.transductive, error.flops), time.perf_counter() - start
        memory.put(key, Record({"meta_flops": error.flops, "seconds": seconds, "diverged": str(error)}))
        return learner, seconds
    seconds = time.perf_counter() - start
    if isinstance(learner, Learns):
        memory.put(key, Record({"meta_flops": learner.meta_flops, "seconds": seconds}, learner.learnt()))
    return learner, seconds


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
