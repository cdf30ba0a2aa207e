"""Learners on images: the contract of each on a toy task; the meta-gradient on conv4 by finite differences; what is charged."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from image_arena import SETTING, blobs

from compare.backbones.conv4 import conv4
from compare.images.learners import IMAGE_LEARNERS, ImageLearner, Setting, build_learner
from compare.images.learners.reading import reading_flops
from compare.images.play import accuracy, answer
from compare.images.sampler import ImageSampler, tensors
from compare.learners import maml
from compare.meta_gradient import TaskBatch, meta_gradient, outer_loss
from compare.meta_method import Inner
from compare.outer import meta_step
from compare.traced import traced
from tasks import IclError, keyed_rng
from tasks.images.episodes import Shape, sample

TRAIN, TEST = blobs(12, "train"), blobs(6, "test")
STEPS = {"reptile": 60, "snail": 150, "in-context-transformer": 150}
READING = ("snail", "mann", "in-context-transformer")


def learning(name: str) -> Setting:
    """What it learns in within seconds: readers are slower to begin, and get a wider network."""
    return replace(SETTING, filters=8, norm="batch") if name in READING else SETTING


def train(learner: ImageLearner, steps: int) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Before and after meta-training."""
    s = SETTING
    sampler = ImageSampler(TRAIN, Shape(s.n_way, s.k_shot, s.train_queries), global_labels=learner.global_labels)
    state = learner.optimiser(steps).start(learner.start(keyed_rng(0, "start")))
    begun = dict(state.params)
    step = meta_step(learner.direction, learner.optimiser(steps))
    for i in range(steps):
        tasks = learner.arrange(sampler.sample(keyed_rng(0, "tasks", i), 4), keyed_rng(0, "arrange", i))
        state = step(state, tasks)
    return begun, state.params


def asked(n: int = 12) -> TaskBatch:
    return tensors(TEST, sample(TEST, Shape(SETTING.n_way, SETTING.k_shot, 5), n=n, seed=0, purpose="test"))


@pytest.mark.parametrize("name", IMAGE_LEARNERS)
def test_every_learner_learns_new_classes_of_a_toy_task(name: str) -> None:
    learner = build_learner(name, learning(name))
    begun, meta = train(learner, STEPS.get(name, 30))
    assert all(not torch.equal(value, meta[key]) for key, value in begun.items() if "weight" in key), "every layer has moved"
    tasks = asked()
    answers = answer(learner, meta, tasks)
    scores = np.stack(answers.scores)
    assert scores.shape == (12, 15, 3)
    np.testing.assert_allclose(np.exp(scores).sum(axis=-1), 1, atol=1e-5)
    if name == "mann":
        return  # its memory takes thousands of tasks to be found (tests/compare/test_sequence.py shows it learning)
    assert accuracy(learner, meta, tasks) > 0.6, "chance is 0.33"
    # Shifted labels of the support must be followed: nothing about a class is remembered.
    shifted = tasks._replace(support_y=(tasks.support_y + 1) % 3)
    assert accuracy(learner, meta, shifted, (tasks.query_y.numpy() + 1) % 3) > 0.6


@pytest.mark.parametrize("name", IMAGE_LEARNERS)
@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_a_learner_says_truly_whether_it_is_transductive(name: str, norm: str) -> None:
    learner = build_learner(name, replace(SETTING, norm=norm))
    meta, tasks = learner.start(keyed_rng(0, "start")), asked(2)
    whole = np.stack(answer(learner, meta, tasks).scores)[:, :4]
    part = np.stack(answer(learner, meta, tasks._replace(query_x=tasks.query_x[:, :4])).scores)
    assert learner.transductive == (norm == "batch")
    assert np.allclose(whole, part, atol=1e-4) != learner.transductive


@pytest.mark.parametrize("name", IMAGE_LEARNERS)
def test_what_a_learner_is_charged(name: str) -> None:
    learner = build_learner(name, SETTING)
    work = learner.work()
    body = SETTING.body_flops()
    assert body == 18 * (1 * 4 * 256 + 4 * 4 * (64 + 16 + 4))
    strided = replace(SETTING, network="conv4-strided")
    assert strided.body_flops() == 18 * (1 * 4 * 64 + 4 * 4 * (16 + 4 + 1))
    assert (SETTING.features, strided.features, replace(SETTING, size=84).features) == (4, 4, 4 * 25)
    assert work.adapt >= SETTING.support * body
    assert work.query >= body
    assert work.meta_task > work.adapt / 10
    assert work.stored > 0
    moved = answer_kept(learner)
    if name not in ("protonet", "matching-net", *READING):
        assert work.trainable == moved
        assert work.stored == 4 * moved


def answer_kept(learner: ImageLearner) -> int:
    """Numbers that adapting sets, counted on the tensors."""
    meta, tasks = learner.start(keyed_rng(0, "start")), asked(1)
    kept = learner.adapt(meta, tasks.support_x[0], tasks.support_y[0])
    return sum(value.numel() for key, value in kept.items() if key not in meta or not torch.equal(value, meta[key]))


@pytest.mark.parametrize("name", [name for name in IMAGE_LEARNERS if name not in ("reptile", *READING)])
def test_any_number_of_ways(name: str) -> None:
    learner = build_learner(name, replace(SETTING, any_way=True))
    meta = learner.start(keyed_rng(0, "start"))
    direction = learner.direction(
        meta, ImageSampler(TRAIN, Shape(3, 2, 2), global_labels=learner.global_labels).sample(keyed_rng(0, "t"), 2)
    )
    assert {key: value.shape for key, value in direction.items()} == {key: value.shape for key, value in meta.items()}
    episodes = sample(TEST, Shape(5, 1, 2), n=2, seed=0, purpose="test")
    scores = answer(learner.for_ways(5), meta, tensors(TEST, episodes)).scores
    assert scores[0].shape == (10, 5)
    assert np.isfinite(scores[0]).all()


def test_who_cannot_serve_any_number_of_ways() -> None:
    with pytest.raises(IclError, match="reptile meta-learns a head with an output per class"):
        build_learner("reptile", replace(SETTING, any_way=True))
    with pytest.raises(IclError, match="snail reads labels of a fixed number of classes"):
        build_learner("snail", replace(SETTING, any_way=True))


def test_readers_are_charged_what_torch_counts() -> None:
    """The transformer by hand: 4 layers of width 128, the products of the attention over all pairs of places, one answer."""
    n, w, layers = 7, 128, 4
    maps = 2 * w * n * (SETTING.features + 3)
    block = 2 * n * 12 * w * w + 2 * 2 * n * n * w
    assert reading_flops("in-context-transformer", n, SETTING.features, 3) == maps + layers * block + 2 * w * 3


@pytest.mark.parametrize("name", [name for name in IMAGE_LEARNERS if name not in READING])
def test_a_traced_outer_step_has_the_same_bits(name: str) -> None:
    learner = build_learner(name, SETTING)
    assert learner.traceable
    sampler = ImageSampler(TRAIN, Shape(SETTING.n_way, SETTING.k_shot, SETTING.train_queries), global_labels=learner.global_labels)
    plain = meta_step(learner.direction, learner.optimiser(5))
    quick = traced(plain)
    states = [learner.optimiser(5).start(learner.start(keyed_rng(0, "start"))) for _ in range(2)]
    for i in range(3):
        tasks = learner.arrange(sampler.sample(keyed_rng(0, "tasks", i), 4), keyed_rng(0, "arrange", i))
        states = [plain(states[0], tasks), quick(states[1], tasks)]
    for part in ("params", "first", "second"):
        assert all(torch.equal(value, getattr(states[1], part)[key]) for key, value in getattr(states[0], part).items())


def test_second_order_makes_a_difference_on_conv4() -> None:
    sampler = ImageSampler(TRAIN, Shape(3, 2, 2))
    learners = [build_learner(name, SETTING) for name in ("maml", "fomaml")]
    meta, tasks = learners[0].start(keyed_rng(0, "start")), sampler.sample(keyed_rng(0, "tasks"), 2)
    first, second = (learner.direction(meta, tasks)["body.0.weight"] for learner in learners)
    assert float((first - second).norm() / first.norm()) > 0.05


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_the_meta_gradient_on_conv4_is_that_of_finite_differences(norm: str) -> None:
    draw = torch.Generator().manual_seed(0)
    network = conv4(16, filters=3, norm=norm)  # type: ignore[arg-type]
    meta = network.initial(1, 2, np.random.default_rng(0), torch.float64)
    meta = {name: value + 0.3 * torch.randn(value.shape, generator=draw, dtype=torch.float64) for name, value in meta.items()}
    x = torch.rand(2, 8, 1, 16, 16, generator=draw, dtype=torch.float64)
    y = torch.arange(8).remainder(2).expand(2, 8)
    tasks = TaskBatch(x[:, :4], y[:, :4], x[:, 4:], y[:, 4:])
    inner = Inner(network, lr=0.1, steps=2)
    adapt = partial(maml.adapt, inner)
    gradient = meta_gradient(meta, tasks, adapt, inner.objective)
    step = 1e-6
    for name, value in meta.items():
        along = torch.randn(value.shape, generator=draw, dtype=torch.float64)
        ends = [float(outer_loss({**meta, name: value + sign * step * along}, tasks, adapt, inner.objective)) for sign in (1, -1)]
        expected, got = (ends[0] - ends[1]) / (2 * step), float((gradient[name] * along).sum())
        assert abs(got - expected) <= 1e-5 * max(abs(expected), 1e-3), name


def test_an_unknown_learner() -> None:
    with pytest.raises(IclError, match="unknown learner on images 'mamal': did you mean maml"):
        build_learner("mamal", SETTING)


def test_twenty_ways_take_the_papers_other_recipe() -> None:
    few, many = (build_learner("maml", Setting(16, 1, ways, 1, 2, 30, "batch", 4)).settings for ways in (5, 20))
    assert (few["inner_lr"], few["inner_steps"]) == (0.4, 1)
    assert (many["inner_lr"], many["inner_steps"]) == (0.1, 5)
