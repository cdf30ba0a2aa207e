"""Adapting step by step: the steps are those of `adapt`, what is told of them is right, and looking changes nothing."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from arena import plain_episode, plain_tools
from test_weights import engine_of, tools_of

from compare.learners import LEARNERS, Tools
from compare.learners import fine_tune as fine_tuning
from compare.play import play, stream
from compare.stepwise import Step, Stepwise, norm
from compare.traces import checkpoints, trace
from compare.types import LearningEpisode

HEADS = ("maml", "fomaml", "reptile", "anil", "meta-sgd")
WEIGHTS = ("fine-tune", "lora", "ia3", "prompt-tuning", "adapt-then-prompt")
OTHERS = ("zero-shot", "in-context", "metaicl", "linear-probe", "protonet", "matching-net")


def head(name: str, **changes: Any) -> Any:
    family = LEARNERS[name]
    settings = replace(next(s for s in family.grid if s.backbone == "mlp"), **changes)
    return family.build(plain_tools(), settings).meta_train([plain_episode(i) for i in range(10, 18)], np.random.default_rng(0))


def steps_of(learner: Stepwise, episode: LearningEpisode) -> list[Step]:
    return list(learner.steps(episode.support, stream(learner, episode, 0)))


@pytest.fixture
def tools(tmp_path: Path, tiny_tokenizer: Any) -> Tools:
    return tools_of(engine_of("llama"), tiny_tokenizer, tmp_path)


def test_who_takes_steps(tools: Tools) -> None:
    taking = {name for name, family in LEARNERS.items() if name != "bitfit" and isinstance(family.build(tools, family.grid[0]), Stepwise)}
    assert taking == {*HEADS, *WEIGHTS}


@pytest.mark.parametrize("name", HEADS)
def test_the_steps_of_an_inner_loop_end_in_what_adapt_returns(name: str) -> None:
    learner, episode = head(name), plain_episode(1)
    steps = steps_of(learner, episode)
    assert [step.number for step in steps] == list(range(2 * learner.adapting_steps + 1))
    played = play(learner, episode, 0)
    last = steps[learner.adapting_steps]
    assert played.scores is not None
    assert last.predictor().predict(episode.queries).tobytes() == played.scores.tobytes()
    assert played.footprint is not None
    assert last.flops == played.footprint.flops
    assert all(a.loss > b.loss for a, b in itertools.pairwise(steps) if a.loss is not None and b.loss is not None)


@pytest.mark.parametrize("name", HEADS)
def test_loss_and_gradient_norm_are_those_of_the_support(name: str) -> None:
    learner, episode = head(name), plain_episode(1)
    support = episode.support
    x = torch.from_numpy(learner.standardiser(learner.tools.features.vectors(support.task, support.queries)))
    for step in steps_of(learner, episode)[::3]:
        scores = step.predictor().predict(support.queries)
        assert step.loss == pytest.approx(-scores[np.arange(len(scores)), support.targets].mean(), rel=1e-12)
        params = {n: v.clone().requires_grad_(name != "anil" or n.startswith("head.")) for n, v in step.predictor().params.items()}  # type: ignore[attr-defined]
        loss = torch.nn.functional.cross_entropy(learner.inner.backbone(params, x), torch.from_numpy(support.targets))
        loss.backward()  # type: ignore[no-untyped-call]
        squares = sum(float((p.grad**2).sum()) for p in params.values() if p.grad is not None)
        assert step.gradient_norm == pytest.approx(squares**0.5, rel=1e-9)


@pytest.mark.parametrize("name", WEIGHTS)
def test_the_steps_of_training_end_in_what_adapt_returns(name: str, tools: Tools) -> None:
    family = LEARNERS[name]
    learner: Any = family.build(tools, replace(family.grid[0], steps=4))
    episode = plain_episode(1, k=2, queries=3)
    played = play(learner, episode, 0)
    first = LEARNERS["zero-shot" if name != "adapt-then-prompt" else "in-context"]
    before = play(first.build(tools, first.grid[0]), episode, 0)
    numbers, losses = [], []
    for step in learner.steps(episode.support, stream(learner, episode, 0)):
        numbers.append(step.number)
        if step.number == 0:
            scores = step.predictor().predict(episode.queries)
            assert step.flops == 0
            assert name in ("prompt-tuning", "adapt-then-prompt") or scores.tobytes() == before.scores.tobytes()  # type: ignore[union-attr]
        if step.loss is not None:
            losses.append(step.loss)
            assert step.gradient_norm > 0
            now: Any = step.predictor()
            alone = replace(now, asking=replace(now.asking, demonstrations=()))
            known = alone.predict(episode.support.queries)  # the batch is the whole support
            assert step.loss == pytest.approx(-known[np.arange(4), episode.support.targets].mean(), abs=1e-4)
    assert numbers == [0, 1, 2, 3, 4]
    assert step.predictor().predict(episode.queries).tobytes() == played.scores.tobytes()  # type: ignore[union-attr]
    assert (step.loss, step.gradient_norm, step.flops) == (None, None, played.footprint.flops)  # type: ignore[union-attr]
    assert len(losses) == 4


def test_a_trace_reads_accuracy_where_it_is_told_and_takes_the_played_one_at_the_end(tools: Tools) -> None:
    family = LEARNERS["lora"]
    learner: Any = family.build(tools, replace(family.grid[0], steps=6))
    episode = plain_episode(1, k=2, queries=4)
    played = play(learner, episode, 0)
    assert checkpoints(6) == {0, 2, 3, 6}
    assert checkpoints(10) == {0, 3, 5, 10}
    found = trace(learner, replace(played, predicted=episode.targets), stream(learner, episode, 0), checkpoints(6), 100)
    assert [step for step, value in zip(found.step, found.accuracy, strict=True) if value is not None] == [0, 2, 3, 6]
    assert found.accuracy[-1] == 1.0, "what was played, not read again"
    assert found.flops[0] == 100
    assert found.loss[-1] is None
    assert (found.broken_at, found.reason) == (None, "")


def test_an_exploding_inner_loop_is_told_and_stays_json() -> None:
    learner, episode = head("maml"), plain_episode(1)
    learner = replace(learner, settings=replace(learner.settings, inner_lr=1e200))
    played = play(learner, episode, 0)
    assert "diverged" in played.reason
    found = trace(learner, played, stream(learner, episode, 0), None, 0)
    assert found.broken_at is not None
    assert 1 <= found.broken_at <= 5
    assert found.accuracy[0] is not None
    assert found.accuracy[learner.adapting_steps] is None
    assert found.loss[-1] is None
    json.dumps(found.to_json(), allow_nan=False)


def test_a_training_that_diverges_is_told_with_its_reason(tools: Tools) -> None:
    learner, episode = fine_tuning.build(tools, fine_tuning.Settings(1e30, 3)), plain_episode(1, queries=2)
    found = trace(learner, play(learner, episode, 0), stream(learner, episode, 0), checkpoints(3), 0)
    assert "diverged in step" in found.reason
    assert found.broken_at in (1, 2)
    assert (found.loss[-1], found.accuracy[-1]) == (None, None)
    assert 3 not in found.step


def test_norm_of_several_gradients() -> None:
    assert norm([torch.tensor([3.0]), None, torch.tensor([[4.0]], dtype=torch.bfloat16)]) == 5.0
    assert norm([torch.tensor([float("inf")])]) == float("inf")
