"""The referee (failures count as chance), and the search (the best on meta-validation, nothing else)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from arena import plain_episode, plain_tools

from compare import search
from compare.learners import Family
from compare.memory import OutOfMemory
from compare.meta_tasks import MetaEpisodes
from compare.play import play
from compare.search import choose
from compare.types import FloatArray, Footprint, LearningEpisode, Support
from tasks import IclError, Query


@dataclass(frozen=True)
class Puppet:
    """Right in `right` of the queries, which it knows by their ids; or broken in the way that `fault` names."""

    right: float = 1.0
    fault: str = ""
    sure: float = 2.0
    name: str = "puppet"
    transductive: bool = False
    meta_flops: int = 0

    @property
    def footprint(self) -> Footprint:
        return Footprint(10, 3, 12)

    def meta_train(self, episodes: Sequence[LearningEpisode], rng: np.random.Generator) -> Puppet:
        return self

    def adapt(self, support: Support, rng: np.random.Generator) -> Puppet:
        if self.fault == "adapt":
            raise IclError("it broke while adapting")
        return self

    def predict(self, queries: Sequence[Query]) -> FloatArray:
        if self.fault == "predict":
            raise IclError("it broke while predicting")
        truth = np.array([int(query.id.startswith("positive")) for query in queries])
        wrong = np.arange(len(queries)) >= self.right * len(queries)
        logits = np.zeros((len(queries), 2))
        logits[np.arange(len(queries)), np.where(wrong, 1 - truth, truth)] = self.sure
        if self.fault == "unnormalised":
            return logits
        scores: FloatArray = logits - np.logaddexp(logits[:, :1], logits[:, 1:])
        if self.fault == "nan":
            scores[0, 0] = np.nan
        return scores

    def query_flops(self, queries: int) -> int:
        return 2 * queries


def test_accuracy_and_cost_of_an_episode() -> None:
    clock = iter([100, 107, 120])
    played = play(Puppet(right=0.75), plain_episode(1, queries=10), 0, lambda: next(clock))
    assert played.accuracy == 0.75
    assert played.reason == ""
    assert (played.adapt_flops, played.predict_flops) == (7 + 10, 13 + 40)
    assert played.nll == pytest.approx(0.75 * np.log1p(np.exp(-2)) + 0.25 * (2 + np.log1p(np.exp(-2))))


@pytest.mark.parametrize(
    ("fault", "reason"), [("adapt", "while adapting"), ("predict", "while predicting"), ("nan", "those of 1 of 20 queries are not")]
)
def test_a_failed_episode_counts_as_chance_with_its_reason(fault: str, reason: str) -> None:
    played = play(Puppet(fault=fault), plain_episode(1, queries=10), 0)
    assert reason in played.reason
    assert played.accuracy == 0.5
    assert played.nll == pytest.approx(np.log(2))
    assert played.scores is None
    assert played.predicted is None


def test_scores_that_are_not_log_probabilities_are_a_defect() -> None:
    with pytest.raises(ValueError, match="normalised"):
        play(Puppet(fault="unnormalised"), plain_episode(1), 0)


def family(*puppets: Puppet) -> Family:
    def build(tools: Any, settings: Any) -> Any:
        return settings

    return Family(build, puppets, uses_features=False, needs_meta_train=False)


VALIDATION = MetaEpisodes((), tuple(plain_episode(i) for i in range(3)))


def test_the_best_accuracy_wins_then_the_likelihood_then_the_order() -> None:
    chosen = choose(family(Puppet(0.5), Puppet(0.9), Puppet(0.8)), plain_tools(), 4, VALIDATION, 0)
    assert chosen.settings["right"] == 0.9
    assert [round(t.accuracy, 3) for t in chosen.tried] == [0.5, 0.9, 0.8]
    assert chosen.episodes == 3
    assert choose(family(Puppet(1.0, sure=1), Puppet(1.0, sure=3)), plain_tools(), 4, VALIDATION, 0).settings["sure"] == 3
    tie = choose(family(Puppet(1.0, name="first"), Puppet(1.0, name="second")), plain_tools(), 4, VALIDATION, 0)
    assert tie.settings["name"] == "first"


def test_an_entry_that_fails_does_not_win() -> None:
    chosen = choose(family(Puppet(fault="nan"), Puppet(0.6)), plain_tools(), 4, VALIDATION, 0)
    assert chosen.settings["right"] == 0.6
    assert [t.failed for t in chosen.tried] == [3, 0]


def test_with_nothing_to_choose_with_the_first_entry_is_taken() -> None:
    chosen = choose(family(Puppet(0.5), Puppet(0.9)), plain_tools(), 4, MetaEpisodes((), ()), 0)
    assert chosen.settings["right"] == 0.5
    assert chosen.tried == ()
    assert chosen.episodes == 0


def test_the_budget_buys_rounds_of_episodes_and_one_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    """A puppet costs 10 to adapt and 40 for 20 queries; in a round there are two."""
    entries = family(Puppet(0.5), Puppet(0.9))
    monkeypatch.setattr(search, "BUDGET", 0)
    assert choose(entries, plain_tools(), 4, VALIDATION, 0).episodes == 1
    cost = choose(entries, plain_tools(), 4, VALIDATION, 0).search_flops
    monkeypatch.setattr(search, "BUDGET", 3 * cost - 1)
    assert choose(entries, plain_tools(), 4, VALIDATION, 0).episodes == 2
    monkeypatch.setattr(search, "BUDGET", 3 * cost)
    found = choose(entries, plain_tools(), 4, VALIDATION, 0)
    assert (found.episodes, found.search_flops) == (3, 3 * cost)


def test_forward_passes_of_the_language_model_count_in_the_search() -> None:
    ticks = itertools.count(step=100)
    without = choose(family(Puppet(0.5), Puppet(0.9)), plain_tools(), 4, VALIDATION, 0).search_flops
    counted = choose(family(Puppet(0.5), Puppet(0.9)), plain_tools(), 4, VALIDATION, 0, lambda: next(ticks)).search_flops
    assert counted == without + 2 * 3 * 2 * 100


@pytest.mark.parametrize("error", [MemoryError(), OutOfMemory("training needs more memory than there is")])
def test_running_out_of_memory_is_never_scored(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def scarce(*_: Any) -> Puppet:
        raise error

    monkeypatch.setattr(Puppet, "adapt", scarce)
    with pytest.raises(OutOfMemory, match=r"puppet in episode e1.* needs more memory than there is"):
        play(Puppet(), plain_episode(1), 0)
