"""Permuted labels: who reads the support follows, who has memorised what labels mean falls below chance."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from arena import LABELS, Planes, plain_episode, plain_tools

from compare.label_probe import EPISODES, LANGUAGE_EPISODES, LANGUAGE_QUERIES, is_probed, permuted, probe
from compare.learners import LEARNERS
from compare.play import Played, play
from compare.types import Learner, LearningEpisode, Support


def renamed(n: int, seed: int = 0, name: str = "e1") -> list[int]:
    """Where each of n labels goes."""
    labels = tuple(f"l{i}" for i in range(n))
    example = plain_episode(1).support.examples[0]
    support = Support(name, "toy", labels, tuple(replace(example, id=label, target=label) for label in labels))
    episode = LearningEpisode(name, support, support.queries, np.arange(n))
    other = permuted(episode, seed)
    assert [e.id for e in other.support.examples] == list(labels), "texts stay where they are"
    assert other.support.targets.tolist() == other.targets.tolist(), "support and queries are renamed alike"
    return other.targets.tolist()


@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_no_label_keeps_its_name(n: int) -> None:
    for seed in range(10):
        found = renamed(n, seed)
        assert sorted(found) == list(range(n))
        assert all(i != j for i, j in enumerate(found))


def test_it_is_keyed_by_seed_and_episode() -> None:
    assert renamed(10) == renamed(10)
    assert renamed(10) != renamed(10, seed=1)
    assert renamed(10) != renamed(10, name="e2")


@dataclass(frozen=True)
class Stubborn:
    """Knows what positive means, and never looks at a support."""

    name: str = "stubborn"
    transductive: bool = False
    meta_flops: int = 0

    def meta_train(self, episodes: Any, rng: Any) -> Stubborn:
        return self

    def adapt(self, support: Support, rng: Any) -> Any:
        class Predictor:
            footprint = None

            def predict(self, queries: Any) -> Any:
                right = np.array([LABELS.index(query.id.rsplit("-", 1)[0]) for query in queries])
                return np.log(np.where(np.arange(2) == right[:, None], 0.9, 0.1))

            def query_flops(self, queries: int) -> int:
                return 0

        return Predictor()


def of(learner: Learner, name: str) -> Any:
    seen: list[tuple[str, LearningEpisode]] = []

    def playing(part: str, episode: LearningEpisode) -> Played:
        seen.append((part, episode))
        return play(learner, episode, 0)

    train, test = [plain_episode(i) for i in range(1, 26)], [plain_episode(i, queries=40) for i in range(40, 45)]
    return probe(LEARNERS[name], train, test, 0, playing), seen


def test_who_reads_the_support_follows_and_who_knows_already_does_not() -> None:
    protonet = LEARNERS["protonet"]
    reader, _ = of(protonet.build(plain_tools(), protonet.grid[0]), "protonet")
    assert reader.train is not None
    for pair in (reader.train, reader.test):
        assert min(pair.plain) > 0.9
        assert pair.permuted == pytest.approx(pair.plain), "class means are renamed, nothing else"
    knower, _ = of(Stubborn(), "protonet")
    assert set(knower.test.plain) == {1.0}
    assert set(knower.test.permuted) == {0.0}
    json = knower.to_json()
    assert json["train"]["episodes"] == EPISODES
    assert json["test"]["permuted"] == {"mean": 0.0, "ci95": [0.0, 0.0]}


def test_a_start_that_was_meta_learnt_with_fixed_labels_is_found_out() -> None:
    """One example per label and a weak signal: what maml knows is mostly what labels meant in meta-training."""
    family, tools = LEARNERS["maml"], plain_tools(Planes(gap=1.5), meta_steps=60)
    learner = family.build(tools, family.grid[0]).meta_train([plain_episode(i, k=1) for i in range(1, 25)], np.random.default_rng(0))
    found = probe(family, [], [plain_episode(i, k=1) for i in range(50, 60)], 0, lambda _, episode: play(learner, episode, 0))
    assert found.train is None
    assert np.mean(found.test.plain) > 0.8
    assert np.mean(found.test.permuted) < 0.5


def test_the_language_model_is_asked_a_little() -> None:
    _, seen = of(Stubborn(), "in-context")
    assert [part for part, _ in seen] == [
        p for p in ("train-plain", "train-permuted", "test-plain", "test-permuted") for _ in range(LANGUAGE_EPISODES)
    ]
    assert all(len(episode.queries) == len(episode.targets) <= LANGUAGE_QUERIES for _, episode in seen)
    cut = seen[2 * LANGUAGE_EPISODES][1]
    assert len(cut.queries) == LANGUAGE_QUERIES
    assert np.bincount(cut.targets).tolist() == [10, 10], "of 40 queries of each label"


def test_who_is_probed() -> None:
    probed = {name for name, family in LEARNERS.items() if is_probed(name, family)}
    assert {"in-context", "metaicl", "maml", "reptile", "protonet", "linear-probe"} <= probed
    assert not {"zero-shot", "lora", "fine-tune", "adapt-then-prompt"} & probed
