"""A learner of `icl compare` as a search plays it: built with a setting, meta-trained if it learns from other tasks, played."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from compare.cost import Meter
from compare.learners import Tools, get_family
from compare.learners.given import with_settings
from compare.meta_tasks import MetaEpisodes
from compare.play import play
from compare.tune.counting import mark
from compare.tune.types import Outcome, Settings
from compare.types import Learner, LearningEpisode
from tasks import keyed_rng


@dataclass(frozen=True)
class LearnerPlayer:
    """What all settings of one learner share."""

    name: str
    tools: Tools
    meter: Meter
    episodes: Sequence[LearningEpisode]
    meta: MetaEpisodes
    """Episodes of other tasks, for meta-training and for the scale of features."""
    k_shot: int
    seed: int

    @property
    def reads_features(self) -> bool:
        """Whether it is charged for hidden states."""
        return get_family(self.name).uses_features

    def begin(self, settings: Settings, paid: set[str]) -> Learnt:
        """Meta-trains, with the same random stream for every setting. Raises IclError where that cannot be."""
        family = with_settings(self.name, get_family(self.name), {self.name: settings})
        untrained = family.build(self.tools, family.grid[0])
        if self.reads_features:
            self.meter.store.compute(self.meter.meta_texts(self.meta.train))
        learner = untrained.meta_train(self.meta.train, keyed_rng(self.seed, "meta-train", self.name, self.k_shot))
        return Learnt(self, learner, paid)


@dataclass(frozen=True)
class Learnt:
    """One setting, meta-trained."""

    player: LearnerPlayer
    learner: Learner
    paid: set[str]

    def play(self, episode: int) -> Outcome:
        """See Contestant. An episode that fails counts as chance, as everywhere in `compare`."""
        of, meter = self.player.episodes[episode], self.player.meter
        texts = [*meter.support_texts(of), *meter.query_texts(of)] if self.player.reads_features else []
        meter.store.compute(texts)
        played = play(self.learner, of, self.player.seed, meter.so_far)
        own = played.adapt_flops + played.predict_flops
        # Meta-training belongs to the setting, not to an episode: its first one is charged for it.
        meta_texts = meter.meta_texts(self.player.meta.train) if self.player.reads_features and not episode else []
        once = 0 if episode else self.learner.meta_flops
        unpaid = self._unpaid([*meta_texts, *texts])
        return Outcome(
            accuracy=played.accuracy,
            nll=played.nll,
            flops=own + meter.features(texts)[1],
            charged=own + once + meter.features(unpaid.values())[1],
            queries=len(of.queries),
            reason=played.reason,
            paid=tuple(unpaid),
        )

    def _unpaid(self, texts: Sequence[str]) -> dict[str, str]:
        """Mark → text, of those whose features no episode of the search has been charged for."""
        found = {mark("feature", list(text.encode("utf-8")), ""): text for text in dict.fromkeys(texts)}
        fresh = {name: text for name, text in found.items() if name not in self.paid}
        self.paid.update(fresh)
        return fresh
