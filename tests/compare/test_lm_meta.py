"""Meta-learners on the language model itself: the network is the engine's score, gradients are exact, learners keep the contract."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from arena import review_task
from test_weights import REQUESTS, engine_of

import compare.course
from compare import search
from compare.adapted import Method as Parts
from compare.course import Course
from compare.diverged import Diverged, DivergedLearner
from compare.extractors import HiddenStates
from compare.features import FeatureStore
from compare.journal import check_same_spec
from compare.learners import Tools, get_families, get_family, lm_meta
from compare.learners.fine_tune import EveryWeight
from compare.learners.lm_meta import METHODS, ModelLearner
from compare.learners.lora import LoraFactors
from compare.lm.network import Network, example_loss, network
from compare.lm.sheets import pages
from compare.meta_gradient import TaskBatch, cross_entropy, meta_gradient, outer_loss
from compare.meta_method import Inner
from compare.meta_tasks import MetaEpisodes, Pools
from compare.midway import Midway
from compare.play import play
from compare.stepwise import Stepwise
from compare.training import Lesson, loss_sum
from compare.types import LearningEpisode, Learns
from icl.encode import Encoder
from icl.engine.hf import HFEngine
from icl.engine.types import ScoreRequest, Work
from icl.models import load_model, resolve_model
from prompts import PromptBuilder, load_template
from tasks import IclError

if TYPE_CHECKING:
    from compare.meta_gradient import Params

PARTS: dict[str, Parts] = {"lora": LoraFactors(2, last=2), "all": EveryWeight()}
LESSONS = [
    Lesson((REQUESTS[0], REQUESTS[1], REQUESTS[2]), (0, 1, 1), 0),
    Lesson((REQUESTS[2], REQUESTS[3]), (0, 1), 1),
    Lesson((ScoreRequest.whole((7, 8, 9, 4), 3), ScoreRequest.whole((7, 8, 9, 6, 2), 3)), (1, 0), 1),
]


def batch() -> tuple[Any, TaskBatch]:
    """Two tasks of two examples and three queries."""
    layout, groups = pages([LESSONS[:2], LESSONS, LESSONS[1:], LESSONS[::-1]], 2, columns=2)
    return layout, TaskBatch(*(torch.stack([torch.from_numpy(of[part]) for of in groups[c::2]]) for c in (0, 1) for part in (0, 1)))


def shaken(net: Network, seed: int = 0) -> Params:
    """Parameters away from the start, where LoRA's B is zero."""
    draw = torch.Generator().manual_seed(seed)
    return {name: v + 0.05 * torch.randn(v.shape, generator=draw, dtype=v.dtype) for name, v in net.start().items()}


def exact(parts: str) -> tuple[Network, Inner, TaskBatch]:
    """In float64."""
    layout, tasks = batch()
    engine = engine_of("llama", torch.float64)
    net = network(engine, PARTS[parts](engine.model, 0), "x")
    return net, Inner(net.backbone(layout), 0.1, 2, example_loss, chunk_size=1), tasks


@pytest.mark.parametrize("name", ["llama", "gpt2", "pythia", "phi3"])
@pytest.mark.parametrize("parts", PARTS)
def test_the_network_is_the_loss_that_other_learners_train_on(name: str, parts: str) -> None:
    engine = engine_of(name)
    net = network(engine, PARTS[parts](engine.model, 0), "x")
    for groups in ([LESSONS], [LESSONS, [Lesson((ScoreRequest.whole(tuple(range(3, 40)), 30),) * 4, (0, 1, 1, 0), 0)]]):  # wider, too
        layout, ((x, y), *_) = pages(groups, 2)
        loss = float(example_loss(net.backbone(layout)(net.start(), torch.from_numpy(x)), torch.from_numpy(y)).detach())
        assert loss == pytest.approx(float(loss_sum(engine, LESSONS, Work()).detach()) / len(LESSONS), abs=1e-5)


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> None:
    """Llama's norms and softmax in the dtype of the model: transformers has them in float32, which blurs differences of float64."""
    from transformers.models.llama import modeling_llama as llama

    def norm(self: Any, x: torch.Tensor) -> torch.Tensor:
        return self.weight * x * (x.square().mean(-1, keepdim=True) + self.variance_epsilon).rsqrt()

    def attention(module: Any, q: Any, k: Any, v: Any, mask: Any, scaling: float, dropout: float = 0.0, **more: Any) -> Any:
        k, v = (llama.repeat_kv(of, module.num_key_value_groups) for of in (k, v))
        weights = (q @ k.transpose(2, 3) * scaling + mask).softmax(-1)
        return (weights @ v).transpose(1, 2).contiguous(), weights

    monkeypatch.setattr(llama.LlamaRMSNorm, "forward", norm)
    monkeypatch.setattr(llama, "eager_attention_forward", attention)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("parts", PARTS)
@pytest.mark.parametrize("name", ["maml", "anil", "meta-sgd"])
def test_meta_gradients_equal_finite_differences(name: str, parts: str) -> None:
    net, inner, tasks = exact(parts)
    method = METHODS[name]
    meta = {key: value.clone() for key, value in method.begin(inner, shaken(net)).items()}
    adapt = partial(method.adapt, inner)
    gradient = meta_gradient(meta, tasks, adapt, inner.objective, 1)
    assert set(gradient) == set(meta)
    draw = torch.Generator().manual_seed(3)
    for _ in range(2):
        way = {key: torch.randn(v.shape, generator=draw, dtype=v.dtype) for key, v in meta.items()}
        length = sum(float(value.square().sum()) for value in way.values()) ** 0.5
        size, loss = 3e-4 / length, []
        for sign in (1, -1):
            moved = {key: v + sign * size * way[key] for key, v in meta.items()}
            loss.append(float(outer_loss(moved, tasks, adapt, inner.objective)))
        expected = (loss[0] - loss[1]) / (2 * size)
        found = sum(float((gradient[key] * way[key]).sum()) for key in meta)
        assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("parts", PARTS)
def test_fomaml_equals_a_plain_loop_with_sgd(parts: str) -> None:
    net, inner, tasks = exact(parts)
    meta = shaken(net)
    direction = METHODS["fomaml"].direction(inner, meta, tasks)
    total = {name: torch.zeros_like(value) for name, value in meta.items()}
    for i in range(tasks.tasks):
        mine = Network(copy.deepcopy(net.adapted), net.head)
        mine.put(meta)
        optimiser = torch.optim.SGD(mine.tensors.values(), lr=inner.lr)
        lessons = [LESSONS[:2], LESSONS[1:]][i]
        asked = [LESSONS, LESSONS[::-1]][i]

        def loss(of: list[Lesson], mine: Network = mine) -> torch.Tensor:
            """Example by example, each alone in a row."""
            alone = [(layout, torch.from_numpy(x)) for layout, ((x, _),) in (pages([[lesson]], 2) for lesson in of)]
            logits = [mine.backbone(layout)(mine.tensors, x)[0, 0] for layout, x in alone]
            return cross_entropy(torch.stack(logits), torch.tensor([lesson.target for lesson in of]))

        for _ in range(inner.steps):
            optimiser.zero_grad()
            loss(lessons).backward()
            optimiser.step()
        optimiser.zero_grad()
        loss(asked).backward()
        for name, value in mine.tensors.items():
            if value.grad is not None:
                total[name] += value.grad / tasks.tasks
    assert max(float(v.abs().max()) for v in total.values()) > 1e-3
    for name, value in total.items():
        torch.testing.assert_close(direction[name], value, rtol=1e-9, atol=1e-11)


@pytest.mark.usefixtures("double")
def test_second_order_is_not_first_order_and_chunks_change_nothing() -> None:
    net, inner, tasks = exact("lora")
    meta = shaken(net)
    second, first = (METHODS[name].direction(inner, meta, tasks) for name in ("maml", "fomaml"))
    apart = (
        sum(float((second[n] - first[n]).square().sum()) for n in meta) ** 0.5 / sum(float(v.square().sum()) for v in first.values()) ** 0.5
    )
    assert apart > 0.01
    for name in ("maml", "fomaml"):
        whole = METHODS[name].direction(replace(inner, chunk_size=2), meta, tasks)
        for key, value in (second if name == "maml" else first).items():
            torch.testing.assert_close(whole[key], value, rtol=1e-9, atol=1e-12)


def test_anil_moves_the_last_layer_alone() -> None:
    net, inner, tasks = exact("lora")
    meta = shaken(net)
    adapted = METHODS["anil"].adapt(inner, meta, tasks.support_x[0], tasks.support_y[0])
    moved = {name for name in meta if not torch.equal(adapted[name], meta[name])}
    assert moved == {name for name in meta if ".layers.1." in name}
    assert 0 < len(moved) < len(meta)


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory, tiny_model_dir: Path) -> tuple[Tools, list[LearningEpisode]]:
    """Tools on a tiny model, and episodes of a made-up task."""
    directory = tmp_path_factory.mktemp("tasks")
    tasks = [review_task(directory, name) for name in ("films", "books")]
    loaded = load_model(resolve_model(str(tiny_model_dir)), "bfloat16", "cpu")
    engine = HFEngine(loaded.model, loaded.tokenizer, 256)
    encoder = Encoder(loaded.tokenizer)
    builders = {task.name: PromptBuilder(load_template("sentiment-plain"), task) for task in tasks}
    store = FeatureStore(HiddenStates(engine, encoder, builders, loaded.context_window))
    tools = Tools(store, engine, encoder, builders, loaded.context_window, "none", 3)
    pools = Pools(replace(tasks[0], splits={}), tasks, k_max=2, seed=0)
    return tools, list(pools.episodes(2).train[:6])


def numbers(tensors: Any) -> dict[str, bytes]:
    return {name: value.detach().double().numpy().tobytes() for name, value in tensors.items()}


def trained(name: str, adapts: str, arena: Any, **changes: Any) -> ModelLearner:
    family = get_family(name, adapts)
    learner = family.build(arena[0], replace(family.grid[0], **changes)).meta_train(arena[1][2:], np.random.default_rng(0))
    assert isinstance(learner, ModelLearner)
    return learner


@pytest.mark.parametrize("adapts", PARTS)
@pytest.mark.parametrize("name", METHODS)
def test_learners_keep_the_contract(name: str, adapts: str, arena: Any) -> None:
    tools, episodes = arena
    weights = numbers(dict(tools.engine.model.named_parameters()))
    learner = trained(name, adapts, arena, inner_lr=0.5 if adapts == "lora" else 0.05)
    assert learner.meta is not None
    assert learner.meta_steps == 3
    assert learner.meta_flops > 0
    kept = numbers(learner.learnt())
    first = learner.adapt(episodes[0].support, np.random.default_rng(0))
    scores = first.predict(episodes[0].queries)
    other = learner.adapt(episodes[1].support, np.random.default_rng(0)).predict(episodes[0].queries)
    assert numbers(learner.learnt()) == kept
    assert numbers(dict(tools.engine.model.named_parameters())) == weights
    np.testing.assert_allclose(np.exp(scores).sum(axis=1), 1.0, atol=1e-9)
    np.testing.assert_array_equal(first.predict(episodes[0].queries), scores)
    assert not np.array_equal(scores, other), "another support must lead to other answers"
    assert first.footprint.trainable_parameters > 0
    assert first.footprint.flops > 0
    assert isinstance(learner, Learns)
    again = get_family(name, adapts).build(tools, learner.settings).with_learnt(learner.learnt(), learner.meta_flops)  # type: ignore[attr-defined]
    assert again.adapt(episodes[0].support, np.random.default_rng(0)).predict(episodes[0].queries).tobytes() == scores.tobytes()


@pytest.mark.parametrize("name", METHODS)
def test_outer_parameters_move(name: str, arena: Any) -> None:
    learner = trained(name, "lora", arena)
    start = learner.method.begin(
        Inner(None, learner.settings.inner_lr, 2),  # type: ignore[arg-type]
        learner._network(int(np.random.default_rng(0).integers(2**63))).start(),
    )
    assert learner.meta is not None
    assert set(learner.meta) == set(start)
    still = [key for key, value in start.items() if torch.equal(value, learner.meta[key])]
    assert not still


def test_the_budget_buys_the_outer_steps(arena: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = trained("fomaml", "lora", arena)
    monkeypatch.setattr(lm_meta, "BUDGET", whole.meta_flops // 2)
    assert trained("fomaml", "lora", arena).meta_steps == 1


def test_meta_training_lowers_the_loss_after_adapting(arena: Any) -> None:
    tools, episodes = arena
    nll = {}
    for steps in (1, 20):
        learner = trained("fomaml", "lora", (replace(tools, meta_steps=steps), episodes), outer_lr=0.01)
        nll[steps] = np.mean([play(learner, episode, 0).nll for episode in episodes[2:]])
    assert nll[20] < nll[1] - 0.01


@pytest.mark.parametrize("name", ["maml", "reptile"])
def test_killed_in_the_middle_of_a_meta_training_it_ends_in_the_same_bytes(
    name: str, arena: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare.course, "EVERY", 0.0)
    tools, episodes = arena

    class Mortal(Midway):
        def save(self, state: Any, facts: Any) -> None:
            super().save(state, facts)
            if int(state.step) == 2:
                raise KeyboardInterrupt

    def course(kind: type[Midway] | None) -> Course:
        place = kind(tmp_path / "midway", "key", "0", check_same_spec, lambda: None) if kind else None
        return Course(episodes[2:4], episodes[:2], place)

    def made(at: Course) -> ModelLearner:
        return trained(name, "lora", (replace(tools, meta_steps=4, course=at), episodes))

    whole = course(None)
    expected = made(whole)
    assert [point.step for point in whole.points] == [0, 1, 2, 3, 4]
    assert len(whole.points[0].train) == 2, "two episodes are watched"
    with pytest.raises(KeyboardInterrupt):
        made(course(Mortal))
    again = course(Midway)
    learner = made(again)
    assert numbers(learner.learnt()) == numbers(expected.learnt())
    assert learner.meta_flops == expected.meta_flops
    assert again.points == whole.points


@pytest.mark.parametrize("name", ["maml", "anil", "meta-sgd"])
def test_the_steps_of_an_inner_loop_end_in_what_adapt_returns(name: str, arena: Any) -> None:
    learner, episode = trained(name, "lora", arena, inner_lr=0.5), arena[1][0]
    assert isinstance(learner, Stepwise)
    seen = []
    for step in learner.steps(episode.support, np.random.default_rng(0)):
        predictor = step.predictor()
        seen.append((step, predictor.predict(episode.queries), predictor.footprint))
    assert [step.number for step, _, _ in seen] == [0, 1, 2, 3, 4]
    wanted = learner.adapt(episode.support, np.random.default_rng(0))
    step, scores, footprint = seen[learner.adapting_steps]
    np.testing.assert_allclose(scores, wanted.predict(episode.queries), atol=1e-6)
    assert footprint == wanted.footprint
    assert step.flops == wanted.footprint.flops
    assert step.gradient_norm is not None
    assert step.gradient_norm > 0
    assert not np.array_equal(seen[0][1], scores)


def test_divergence_in_meta_training_fails_its_episodes_only(arena: Any) -> None:
    tools, episodes = arena
    family = get_family("fomaml", "lora")
    wild = replace(family, grid=(replace(family.grid[0], inner_lr=math.inf),))
    chosen = search.choose(wild, tools, 2, MetaEpisodes(tuple(episodes[2:]), ()), 0)
    assert isinstance(chosen.learner, DivergedLearner)
    played = play(chosen.learner, episodes[0], 0)
    assert "fomaml diverged in outer step" in played.reason
    assert played.accuracy == 0.5
    with pytest.raises(Diverged):
        wild.build(tools, wild.grid[0]).meta_train(episodes[2:], np.random.default_rng(0))


def test_models_without_a_tree_are_refused_in_one_line() -> None:
    engine = engine_of("mamba")
    with pytest.raises(IclError, match="--adapts lora or all needs a model that the token tree serves"):
        network(engine, EveryWeight()(engine.model, 0), "maml")


def test_what_is_adapted_must_be_adapted_by_somebody() -> None:
    with pytest.raises(IclError, match="--adapts lora is for maml, fomaml, reptile, anil, meta-sgd, but --learners are lora,protonet"):
        get_families(("lora", "protonet"), "lora")
    assert not get_families(("maml", "lora"), "lora")["maml"].uses_features
    assert get_families(("maml",))["maml"].uses_features
    with pytest.raises(IclError, match="must be 'all' or names"):
        get_families(("all", "lora"))


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("name", METHODS)
def test_fewer_rows_at_a_time_adapt_to_the_same(name: str) -> None:
    net, inner, tasks = exact("lora")
    meta = METHODS[name].begin(inner, shaken(net))
    x, y = tasks.query_x[0], tasks.query_y[0]
    assert len(x) == 3
    whole = METHODS[name].adapt(inner, meta, x, y)
    for key, value in METHODS[name].adapt(replace(inner, rows=1), meta, x, y).items():
        torch.testing.assert_close(value, whole[key], rtol=1e-9, atol=1e-12)


def test_adapting_halves_its_rows_when_memory_runs_out_and_then_says_so(arena: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    learner, episode, sizes = trained("fomaml", "lora", arena), arena[1][0], []

    def adapt(inner: Inner, *of: Any) -> Any:
        sizes.append(inner.rows)
        if inner.rows and inner.rows > fits:
            raise MemoryError
        return METHODS["fomaml"].adapt(inner, *of)

    small = replace(learner, method=replace(learner.method, adapt=adapt))
    fits = 1
    assert play(small, episode, 0).reason == ""
    assert sizes == [4, 2, 1]
    fits = 0
    with pytest.raises(IclError, match=r"fomaml in episode .* even with one row at a time"):
        play(small, episode, 0)
