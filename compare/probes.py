"""Measurements beside a comparison, made after it: steps of adapting, overlap of classes, damaged demonstrations.

They change no prediction and no cost of a learner. What they take is kept apart (in `cost.json`: the phase `probing`, `probing_flops`), and
each is kept in the journal as it is finished. What is cheap is measured in many episodes, what reads queries with the language model in a
few. `traces.json` holds them; `--no-probes` leaves them out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from compare import standardise
from compare.cost import Meter
from compare.damage import Damage, damages
from compare.journal import Memory, Record
from compare.learners import LEARNERS, Tools
from compare.learners.lm_meta import ModelLearner
from compare.learners.matching_net_fce import FullContextLearner
from compare.learners.metric import MetricLearner
from compare.memory import OutOfMemory
from compare.overlap import overlap
from compare.play import Played, play, stream
from compare.results import Result
from compare.statistics import REFERENCE
from compare.stepwise import Stepwise
from compare.traces import SHARES, checkpoints, trace
from icl.cost import Clock
from icl.events import Events

Json = dict[str, Any]
FEATURE_EPISODES = 50
"""First episodes in which learners on features are looked at after every step."""
MODEL_EPISODES = 3
"""First episodes in which learners that train the language model are, after some of their steps."""
DAMAGE_EPISODES = 3
"""First episodes whose demonstrations are damaged, at the largest K."""
FILE = "traces.json"
METRIC = (MetricLearner, FullContextLearner)
"""Learners that compare features."""


@dataclass(frozen=True)
class Probe:
    """One measurement: its key in the journal, and how it is made."""

    key: str
    measure: Callable[[], Json]


Group = tuple[Json, list[Probe]]
"""What measurements are about, and they themselves: one per episode."""


@dataclass(frozen=True)
class Probes:
    """See the module's opening."""

    tools: Tools
    meter: Meter
    clock: Clock
    events: Events
    memory: Memory
    seed: int

    def traces(self, results: Sequence[Result]) -> Json:
        """What `traces.json` holds, of all learners and K."""
        prompt = max((r for r in results if r.learner == REFERENCE), key=lambda r: r.k_shot, default=None)
        kinds, left_out = damages(self.tools, prompt.played[0].episode.support.task, self.seed) if prompt else ([], {})
        groups: dict[str, list[Group]] = {
            "steps": [self._steps(r, r.chosen.learner) for r in results if isinstance(r.chosen.learner, Stepwise)],
            "overlap": self._overlaps(results),
            "damage": [self._damage(kind, prompt) for kind in kinds if prompt],
        }
        found = self._made([probe for of in groups.values() for _, probes in of for probe in probes])
        limits = {"feature_episodes": FEATURE_EPISODES, "model_episodes": MODEL_EPISODES, "damage_episodes": DAMAGE_EPISODES}
        told = {
            name: [{**about, "episodes": [found[probe.key] for probe in probes]} for about, probes in of] for name, of in groups.items()
        }
        return {"limits": {**limits, "shares": list(SHARES)}, **told, "damage_left_out": left_out}

    def _made(self, probes: Sequence[Probe]) -> dict[str, Json]:
        """Key → what was measured, now or before."""
        known = {probe.key: record for probe in probes if (record := self.memory.get(probe.key)) is not None}
        self.events.phase("probes")
        self.events.start(len(probes), len(known))
        found: dict[str, Json] = {}
        for probe in probes:
            if probe.key in known:
                found[probe.key] = dict(known[probe.key].facts)
                continue
            with self.clock.phase("probing"), self.meter.apart():
                found[probe.key] = probe.measure()
            self.memory.put(probe.key, Record(found[probe.key]))
            self.events.section_done()
        return found

    def _steps(self, result: Result, learner: Stepwise) -> Group:
        cheap = LEARNERS[result.learner].uses_features and not isinstance(learner, ModelLearner)
        about = {"learner": result.learner, "k_shot": result.k_shot, "trained": learner.adapting_steps}

        def probe(played: Played) -> Probe:
            return Probe(f"{_place(result, played)}/steps", lambda: self._trace(learner, played, cheap))

        return about, [probe(p) for p in result.played[: FEATURE_EPISODES if cheap else MODEL_EPISODES]]

    def _trace(self, learner: Stepwise, played: Played, cheap: bool) -> Json:
        features = self.meter.features(self.meter.support_texts(played.episode))[1] if cheap else 0
        at = None if cheap else checkpoints(learner.adapting_steps)
        found = trace(learner, played, stream(learner, played.episode, self.seed), at, features)
        if not cheap and found.flops:
            self.meter.ledger.flops += found.flops[-1]  # training is in no engine's count, but it is part of what is kept apart here
        return found.to_json()

    def _overlaps(self, results: Sequence[Result]) -> list[Group]:
        """Once per K: the metric learners of a K share their features."""
        first = {r.k_shot: r for r in reversed(results) if isinstance(r.chosen.learner, METRIC)}

        def probe(result: Result, played: Played) -> Probe:
            return Probe(f"overlap/{result.k_shot}/{played.episode.id}", lambda: self._overlap(result, played))

        return [({"k_shot": k}, [probe(first[k], p) for p in first[k].played]) for k in sorted(first)]

    def _overlap(self, result: Result, played: Played) -> Json:
        learner, episode, vectors = result.chosen.learner, played.episode, self.tools.features.vectors
        assert isinstance(learner, METRIC)
        support = vectors(episode.support.task, episode.support.queries)
        scale = learner.standardiser or standardise.from_support(support)
        queries = scale(vectors(episode.support.task, episode.queries))
        return {"episode": episode.id, **overlap(scale(support), episode.support.targets, queries, episode.targets).to_json()}

    def _damage(self, kind: Damage, result: Result) -> Group:
        family = LEARNERS[REFERENCE]
        learner = family.build(kind.tools, family.grid[0])

        def measure(played: Played) -> Json:
            support = kind.support(played.episode.support, self.seed)
            wrong = sum(a.target != b.target for a, b in zip(played.episode.support.examples, support.examples, strict=True))
            facts = {"episode": played.episode.id, "undamaged": played.accuracy, "wrong_answers": wrong, "shown": kind.shown(support)}
            try:
                again = play(learner, replace(played.episode, support=support), self.seed)
            except OutOfMemory as error:
                return {**facts, "accuracy": None, "reason": str(error)}
            return {**facts, "accuracy": None if again.reason else again.accuracy, "reason": again.reason}

        def probe(played: Played) -> Probe:
            return Probe(f"{_place(result, played)}/damage/{kind.name}", lambda: measure(played))

        return {"name": kind.name, "k_shot": result.k_shot}, [probe(p) for p in result.played[:DAMAGE_EPISODES]]


def _place(result: Result, played: Played) -> str:
    return f"{result.learner}/{result.k_shot}/probe/{played.episode.id}"
