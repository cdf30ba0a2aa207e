"""What every learner must keep to, on a tiny random language model; and that those on features can learn."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from arena import LABELS, WIDTH, Planes, plain_episode, plain_tools, review_task

from compare.extractors import HiddenStates
from compare.features import FeatureStore
from compare.learners import LEARNERS, Tools, get_family
from compare.learners.in_play import builder_in_play
from compare.meta_tasks import Pools
from compare.play import play
from compare.types import Learner, LearningEpisode, Support
from icl.encode import Encoder
from icl.engine.hf import HFEngine
from icl.engine.types import silent
from icl.models import load_model, resolve_model
from prompts import PromptBuilder, load_template, parse_template
from tasks import IclError, Query
from tasks.errors import IclError as SameError


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory, tiny_model_dir: Path) -> tuple[Tools, list[LearningEpisode]]:
    """Tools on a tiny model, and episodes of a made-up task."""
    directory = tmp_path_factory.mktemp("tasks")
    tasks = [review_task(directory, name) for name in ("films", "books")]
    loaded = load_model(resolve_model(str(tiny_model_dir)), "float32", "cpu")
    engine = HFEngine(with_biases(loaded.model), loaded.tokenizer, 256)
    encoder = Encoder(loaded.tokenizer)
    builders = {task.name: PromptBuilder(load_template("sentiment-plain"), task) for task in tasks}
    store = FeatureStore(HiddenStates(engine, encoder, builders, loaded.context_window))
    tools = Tools(store, engine, encoder, builders, loaded.context_window, "none", 5)
    pools = Pools(replace(tasks[0], splits={}), tasks, k_max=2, seed=0)
    return tools, list(pools.episodes(2).train[:6])


def with_biases(model: Any) -> Any:
    """A Llama of the same size whose layers have biases, so that every method finds what it adapts."""
    import torch

    config = copy.deepcopy(model.config)
    config.attention_bias = config.mlp_bias = True
    torch.manual_seed(0)
    biased = type(model)(config)
    biased.load_state_dict(model.state_dict(), strict=False)
    return biased.eval()


def trained(name: str, arena: tuple[Tools, list[LearningEpisode]], **changes: Any) -> Learner:
    tools, episodes = arena
    return LEARNERS[name].build(replace(tools, **changes), brief(name)).meta_train(episodes[2:], np.random.default_rng(0))


def brief(name: str, steps: int = 4) -> Any:
    """The first entry of a learner's grid, with few steps where it has steps."""
    settings = LEARNERS[name].grid[0]
    return replace(settings, steps=steps) if hasattr(settings, "steps") else settings


def scores_of(learner: Learner, support: Support, queries: tuple[Query, ...], seed: int = 0) -> Any:
    return learner.adapt(support, np.random.default_rng(seed)).predict(queries)


@pytest.mark.parametrize("name", LEARNERS)
def test_predictions_are_normalised_log_probabilities(name: str, arena: Any) -> None:
    episode = arena[1][0]
    scores = scores_of(trained(name, arena), episode.support, episode.queries)
    assert scores.shape == (len(episode.queries), 2)
    assert scores.dtype == np.float64
    np.testing.assert_allclose(np.exp(scores).sum(axis=1), 1.0, atol=1e-9)
    assert len(np.unique(scores[:, 0].round(9))) > 1, "queries must be told apart"


@pytest.mark.parametrize("name", LEARNERS)
def test_equal_streams_give_equal_predictions(name: str, arena: Any) -> None:
    episode = arena[1][0]
    first, second = (scores_of(trained(name, arena), episode.support, episode.queries) for _ in range(2))
    assert first.tobytes() == second.tobytes()


@pytest.mark.parametrize("name", LEARNERS)
def test_adapting_leaves_the_learner_as_it_was(name: str, arena: Any) -> None:
    _, episodes = arena
    learner = trained(name, arena)
    kept = {field: pickle.dumps(value) for field, value in vars(learner).items() if field not in ("tools", "calibrator")}
    early = learner.adapt(episodes[0].support, np.random.default_rng(0))
    before = early.predict(episodes[0].queries)
    learner.adapt(episodes[1].support, np.random.default_rng(0)).predict(episodes[1].queries)
    assert {field: pickle.dumps(getattr(learner, field)) for field in kept} == kept
    np.testing.assert_array_equal(early.predict(episodes[0].queries), before)
    np.testing.assert_array_equal(scores_of(learner, episodes[0].support, episodes[0].queries), before)


@pytest.mark.parametrize("name", LEARNERS)
def test_meta_training_leaves_the_untrained_learner_as_it_was(name: str, arena: Any) -> None:
    tools, episodes = arena
    family = LEARNERS[name]
    untrained = family.build(tools, brief(name))
    state = {field: copy.copy(value) for field, value in vars(untrained).items()}
    untrained.meta_train(episodes, np.random.default_rng(0))
    assert vars(untrained) == state
    with pytest.raises(FrozenInstanceError):
        untrained.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize("name", LEARNERS)
def test_the_answers_of_the_queries_are_out_of_reach(name: str, arena: Any) -> None:
    episode = arena[1][0]
    learner = trained(name, arena)
    swapped = replace(episode, targets=1 - episode.targets)
    one, other = play(learner, episode, 0), play(learner, swapped, 0)
    assert one.scores is not None
    assert other.scores is not None
    np.testing.assert_array_equal(one.scores, other.scores)
    assert one.accuracy == pytest.approx(1 - other.accuracy)


@pytest.mark.parametrize("name", LEARNERS)
def test_a_prediction_does_not_depend_on_the_other_queries_unless_the_learner_says_so(name: str, arena: Any) -> None:
    episode = arena[1][0]
    learner = trained(name, arena)
    assert learner.transductive is False
    whole = scores_of(learner, episode.support, episode.queries)
    np.testing.assert_allclose(scores_of(learner, episode.support, episode.queries[3:5]), whole[3:5], atol=1e-4)
    np.testing.assert_allclose(scores_of(learner, episode.support, episode.queries[::-1]), whole[::-1], atol=1e-4)


def test_batch_calibration_makes_in_context_learning_transductive(arena: Any) -> None:
    episode = arena[1][0]
    learner = trained("in-context", arena, calibration="batch")
    assert learner.transductive
    whole = scores_of(learner, episode.support, episode.queries)
    assert np.abs(scores_of(learner, episode.support, episode.queries[:3]) - whole[:3]).max() > 1e-3


@pytest.mark.parametrize("calibration", ["contextual", "domain-context"])
def test_calibrations_with_inputs_of_their_own_change_scores_and_stay_normalised(arena: Any, calibration: str) -> None:
    episode = arena[1][0]
    plain = scores_of(trained("in-context", arena), episode.support, episode.queries)
    scores = scores_of(trained("in-context", arena, calibration=calibration), episode.support, episode.queries)
    np.testing.assert_allclose(np.exp(scores).sum(axis=1), 1.0, atol=1e-9)
    shift = (scores - plain)[:, 0] - (scores - plain)[:, 1]
    assert np.abs(shift).max() > 1e-3
    np.testing.assert_allclose(shift, shift[0], atol=1e-3)  # one prior for the whole episode


def test_in_context_scores_are_those_of_a_plain_forward_pass(arena: Any) -> None:
    import torch

    tools, episodes = arena
    episode = episodes[0]
    predictor: Any = trained("in-context", arena).adapt(episode.support, np.random.default_rng(0))
    scores = predictor.predict(episode.queries[:2])
    assert sorted(e.id for e in predictor.asking.demonstrations) == sorted(e.id for e in episode.support.examples)
    for i, query in enumerate(episode.queries[:2]):
        context = "\n\n".join(f"Text: {e.inputs['text']}\nSentiment: {e.target}" for e in predictor.asking.demonstrations)
        sums = []
        for label in LABELS:
            head = f"{context}\n\nText: {query.inputs['text']}\nSentiment:"
            ids = tools.encoder.tokenizer(f"{head} {label}")["input_ids"]
            start = len(tools.encoder.tokenizer(head)["input_ids"])
            with torch.no_grad():
                log_probs = tools.engine.model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
            sums.append(float(sum(log_probs[t - 1, ids[t]] for t in range(start, len(ids)))))
        expected = np.array(sums) - np.logaddexp(sums[0], sums[1])
        np.testing.assert_allclose(scores[i], expected, atol=1e-4)


def test_in_context_scores_sum_the_words_of_a_label(arena: Any) -> None:
    tools, episodes = arena
    episode = episodes[0]
    template = parse_template(
        "---\nlabel_words: {positive: [positive, good], negative: negative}\n---\n{% block query %}Text: {{ text }}\nSentiment:{% endblock %}",
        "mine",
    )
    builders = {name: PromptBuilder(template, builder.task) for name, builder in tools.builders.items()}
    predictor: Any = trained("in-context", arena, builders=builders).adapt(episode.support, np.random.default_rng(0))
    scores = predictor.predict(episode.queries[:2])
    for i, query in enumerate(episode.queries[:2]):
        negative, positive, good = (float(span.sum()) for span in tools.engine.score(predictor.asking.requests(query), silent))
        sums = np.array([negative, np.logaddexp(positive, good)])
        np.testing.assert_allclose(scores[i], sums - np.logaddexp(*sums), atol=1e-4)


def test_a_prompt_lists_only_the_labels_in_play(tmp_path: Path) -> None:
    task = review_task(tmp_path, "three", labels=("negative", "neutral", "positive"))
    builders = {"three": PromptBuilder(load_template("classify-instruct"), task)}
    support = Support("e", "three", ("negative", "positive"), tuple(task.splits["demonstration"][:1]))
    few, query = builder_in_play(builders, support), task.splits["test"][0].query()
    prompt = few.prompts([], query, few.verbalizer.candidates(query)[:1])[0].text
    assert "negative" in prompt
    assert "neutral" not in prompt
    assert builder_in_play(builders, replace(support, labels=task.labels)) is builders["three"]


@pytest.mark.parametrize("name", [name for name, family in LEARNERS.items() if family.uses_features])
def test_learners_on_features_learn(name: str) -> None:
    family = LEARNERS[name]
    for settings in family.grid:
        learner = family.build(plain_tools(), settings).meta_train([plain_episode(i) for i in range(1, 9)], np.random.default_rng(0))
        played = [play(learner, plain_episode(i), 0) for i in range(20, 25)]
        assert np.mean([p.accuracy for p in played]) > 0.9
        assert all(p.footprint is not None and p.footprint.bytes_per_task > 0 for p in played)
        assert all(p.predict_flops > 0 and p.adapt_flops > 0 for p in played)


@pytest.mark.parametrize("name", [name for name, family in LEARNERS.items() if family.uses_features and not family.needs_meta_train])
def test_without_other_tasks_they_standardise_by_the_support(name: str) -> None:
    family = LEARNERS[name]
    learner = family.build(plain_tools(), family.grid[0]).meta_train([], np.random.default_rng(0))
    assert np.mean([play(learner, plain_episode(i), 0).accuracy for i in range(20, 25)]) > 0.9


def test_maml_uses_what_the_other_tasks_taught() -> None:
    """One example per label and a weak signal: the meta-learnt start knows the direction that the support cannot show."""
    tools = plain_tools(Planes(gap=1.5), meta_steps=60)
    accuracy = {}
    for name in ("maml", "protonet"):
        family = LEARNERS[name]
        learner = family.build(tools, family.grid[0]).meta_train([plain_episode(i, k=1) for i in range(1, 25)], np.random.default_rng(0))
        accuracy[name] = np.mean([play(learner, plain_episode(i, k=1), 0).accuracy for i in range(50, 60)])
    assert accuracy["maml"] > accuracy["protonet"] + 0.05


class Crowded:
    """Features of which one dimension tells the label, among others that do not."""

    def vectors(self, task: str, queries: Any) -> Any:
        rows = []
        for query in queries:
            label, number = query.id.rsplit("-", 1)
            row = np.random.default_rng([LABELS.index(label), int(number)]).normal(size=WIDTH)
            row[0] = (0.8 if label == "positive" else -0.8) + 0.1 * row[0]
            rows.append(row)
        return np.array(rows, dtype=np.float32)


@pytest.mark.parametrize("name", ["protonet", "matching-net"])
def test_a_meta_trained_map_finds_what_tells_classes_apart(name: str) -> None:
    family = LEARNERS[name]
    accuracy = {}
    for settings in (family.grid[0], replace(family.grid[0], trained=True)):
        tools = plain_tools(Crowded(), meta_steps=150)
        learner = family.build(tools, settings).meta_train([plain_episode(i, k=1) for i in range(1, 25)], np.random.default_rng(0))
        accuracy[settings.trained] = np.mean([play(learner, plain_episode(i, k=1), 0).accuracy for i in range(50, 70)])
    assert accuracy[True] > accuracy[False] + 0.1


def test_matching_networks_answer_with_the_labels_that_attention_falls_on() -> None:
    settings = replace(LEARNERS["matching-net"].grid[0], scale=3.0)
    episode = plain_episode(1, k=3)
    learner: Any = LEARNERS["matching-net"].build(plain_tools(), settings)
    scores = scores_of(learner, episode.support, episode.queries)
    rows, asked = (Planes().vectors("toy", queries).astype(float) for queries in (episode.support.queries, episode.queries))
    rows, asked = rows - (mean := rows.mean(axis=0)), asked - mean
    cosine = (asked @ rows.T) / np.linalg.norm(asked, axis=1)[:, None] / np.linalg.norm(rows, axis=1)
    attention = np.exp(3 * cosine) / np.exp(3 * cosine).sum(axis=1, keepdims=True)
    expected = np.stack([attention[:, episode.support.targets == j].sum(axis=1) for j in (0, 1)], axis=1)
    np.testing.assert_allclose(np.exp(scores), expected, atol=1e-6)


def test_class_numbers_without_a_meaning_are_permuted_in_meta_training() -> None:
    from compare.learners.tensors import arbitrary_labels, meta_batches, task_tensors
    from compare.standardise import fit

    episodes = [plain_episode(i) for i in range(4)]
    other = [replace(e, support=replace(e.support, labels=("positive", "negative"))) for e in episodes]
    assert arbitrary_labels(episodes) == 0
    assert arbitrary_labels([*episodes, *other]) == 2
    standardiser = fit(Planes(), episodes)
    assert standardiser is not None
    data = task_tensors(Planes(), standardiser, episodes)
    seen = set()
    for tasks in islice(meta_batches(data, 2, np.random.default_rng(0)), 20):
        first = tasks.support_y[:, 0]
        assert ((tasks.query_y == first[:, None]).sum(dim=1) == 10).all()
        assert (tasks.query_y[:, 0] == first).all(), "support and queries are renamed alike"
        seen.add(tuple(first.tolist()))
    assert len(seen) > 5


def test_maml_asks_for_other_tasks_and_reports_divergence() -> None:
    from compare.learners import maml

    untrained: Any = maml.build(plain_tools(), maml.GRID[0])
    with pytest.raises(IclError, match="name tasks under 'related'"):
        untrained.meta_train([], np.random.default_rng(0))
    assert "must be meta-trained" in play(untrained, plain_episode(1), 0).reason
    learner = untrained.meta_train([plain_episode(i) for i in range(2, 5)], np.random.default_rng(0))
    wild = replace(learner, meta={name: value * np.nan for name, value in (learner.meta or {}).items()})
    assert "diverged in episode e1" in play(wild, plain_episode(1), 0).reason


def test_an_unknown_learner_is_named_with_its_nearest() -> None:
    with pytest.raises(SameError, match="did you mean protonet"):
        get_family("protonets")
