"""Model-based learners: golden numbers of the memory's addressing, what may be seen from where, resuming, and that they learn."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from compare.backbones import mlp
from compare.backbones.conv4 import conv4
from compare.baselines import errors_along, least_squares
from compare.meta_gradient import TaskBatch
from compare.sequence import (
    MANN,
    READERS,
    SNAIL,
    InContextTransformer,
    Reader,
    SequenceModel,
    Sequences,
    Training,
    along,
    ask,
    mixed,
    query_loss,
    sequence_loss,
    sequence_model,
)
from compare.sequence import addressing as memory
from compare.sequence.optimise import WarmAdam
from compare.sequence.types import size_of
from tasks import IclError, keyed_rng
from tasks.functions import sample

SMALL: dict[str, Reader] = {
    "in-context-transformer": InContextTransformer(points=9, width=32, layers=2, heads=2),
    "mann": MANN(units=24, rows=12, width=10, heads=2),
    "joined": InContextTransformer(points=9, width=32, layers=2, heads=2, joined=True),
    "snail": SNAIL(points=9, filters=8, attention=((8, 6), (8, 8), (8, 8))),
}
WAYS, SHOTS = 3, 1
assert set(READERS) <= set(SMALL)


def model_of(name: str, classes: int = 0) -> SequenceModel:
    return SequenceModel(name, SMALL[name], mlp(()), classes)


def functions(step: int, n: int = 7, tasks: int = 16, d: int = 2) -> Sequences:
    points = sample("linear", tasks, n, d, keyed_rng(0, "train", step))
    return Sequences(torch.from_numpy(points.x).float(), torch.from_numpy(points.y).float())


def blobs(step: int, tasks: int = 16, queries: int = 3) -> TaskBatch:
    """Classes are points of a plane, examples lie near them; what is class 0 is anybody's guess without the support."""
    rng = keyed_rng(0, "blobs", step)
    centres = 3 * rng.standard_normal((tasks, WAYS, 2))
    support_y = np.tile(np.repeat(np.arange(WAYS), SHOTS), (tasks, 1))
    query_y = rng.integers(0, WAYS, (tasks, queries))

    def near(y: np.ndarray) -> Tensor:
        at = np.take_along_axis(centres, y[..., None], axis=1)
        return torch.from_numpy(at + 0.3 * rng.standard_normal(at.shape)).float()

    return mixed(TaskBatch(near(support_y), torch.from_numpy(support_y), near(query_y), torch.from_numpy(query_y)), WAYS, rng)


# --- the memory: numbers worked out by hand from the formulas ------------------------------------------------------------


def test_reading_is_a_softmax_of_cosines_times_the_strength() -> None:
    rows = torch.tensor([[[3.0, 4.0], [0.0, 2.0], [-1.0, 0.0]]])
    key = torch.tensor([[[1.0, 0.0]]])
    cosines = np.array([0.6, 0.0, -1.0])
    for strength in (1.0, 5.0):
        expected = np.exp(strength * cosines) / np.exp(strength * cosines).sum()
        found = memory.read_weights(rows, key, torch.tensor([[strength]]))
        np.testing.assert_allclose(found[0, 0].numpy(), expected, rtol=1e-6)
    np.testing.assert_allclose(memory.read_weights(rows, 7 * key, torch.tensor([[5.0]])).numpy(), found.numpy(), rtol=1e-6)
    np.testing.assert_allclose(found[0, 0].numpy(), [0.9522565, 0.0474099, 0.0003195], atol=2e-5)


def test_the_least_used_rows_are_found_emptied_and_written() -> None:
    usage = torch.tensor([[0.5, 0.1, 0.9, 0.1]])
    unused = memory.least_used(usage, heads=2)
    assert unused.tolist() == [[[0, 1, 0, 0], [0, 0, 0, 1]]], "equally used: the first of them first"
    before = torch.tensor([[[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]])
    weights = memory.write_weights(before, unused, torch.tensor([[0.75, 0.0]]))
    assert weights.tolist() == [[[0.75, 0.25, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]]
    rows = torch.full((1, 4, 2), 8.0)
    keys = torch.tensor([[[1.0, 2.0], [-1.0, 1.0]]])
    assert memory.written(rows, weights, unused, keys).tolist() == [[[8.75, 9.5], [0.25, 0.5], [8.0, 8.0], [-1.0, 1.0]]]
    after = memory.used(usage, before, weights, decay=0.5)
    np.testing.assert_allclose(after.numpy(), [[0.25 + 1 + 0.75, 0.05 + 0.25, 0.45 + 1, 0.05 + 1]])


# --- who sees what --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("name", SMALL)
def test_no_position_sees_its_own_label_nor_what_comes_later(name: str, classes: int) -> None:
    """By perturbation: what position i says moves with pairs before i and with x_i, and with nothing else."""
    torch.manual_seed(0)
    model = model_of(name, classes)
    params = model.initial(4, keyed_rng(0, "test"))
    x = torch.randn(2, 6, 4)
    y = torch.randint(0, 3, (2, 6)) if classes else torch.randn(2, 6)
    said = along(model, params, Sequences(x, y))
    assert said.shape == (2, 6, classes or 1)
    for i in range(6):
        other_x, other_y = x.clone(), y.clone()
        other_x[:, i] += 1.0
        other_y[:, i] = (y[:, i] + 1) % 3 if classes else y[:, i] + 1.0
        by_x = (along(model, params, Sequences(other_x, y)) - said).abs().amax(dim=(0, 2))
        by_y = (along(model, params, Sequences(x, other_y)) - said).abs().amax(dim=(0, 2))
        assert (by_x[:i] == 0).all(), "nothing comes from later"
        assert (by_y[: i + 1] == 0).all(), "an own label is not seen"
        assert by_x[i] > 0
        if i < 5:
            assert (by_x[i + 1 :] > 0).all()
            assert (by_y[i + 1 :] > 0).all(), "every earlier label is seen"


@pytest.mark.parametrize("name", SMALL)
def test_queries_do_not_see_each_other_and_are_the_last_of_a_sequence(name: str) -> None:
    model = model_of(name, WAYS)
    params = model.initial(2, keyed_rng(0, "test"))
    tasks = blobs(0, tasks=4)
    said = ask(model, params, tasks)
    assert said.shape == (4, 3, WAYS)
    alone = ask(model, params, tasks._replace(query_x=tasks.query_x[:, 1:2], query_y=tasks.query_y[:, 1:2]))
    torch.testing.assert_close(said[:, 1:2], alone)
    x = torch.cat([tasks.support_x, tasks.query_x[:, :1]], dim=1)
    y = torch.cat([tasks.support_y, tasks.query_y[:, :1]], dim=1)
    torch.testing.assert_close(along(model, params, Sequences(x, y))[:, -1], said[:, 0])


def test_images_go_through_a_body_first() -> None:
    model = sequence_model("snail", points=4, classes=WAYS, backbone=conv4(16, filters=4, norm="layer"))
    params = model.initial(1, keyed_rng(0, "test"))
    assert not any("head" in name for name in params)
    pictures, y = torch.rand(2, 3, 1, 16, 16), torch.tensor([[0, 1, 2], [2, 1, 0]])
    tasks = TaskBatch(pictures, y, pictures[:, :2], y[:, :2])
    moving = {name: value.requires_grad_() for name, value in params.items()}
    query_loss(model, moving, tasks).backward()
    assert all(value.grad is not None and value.grad.abs().sum() > 0 for name, value in moving.items() if "bias" not in name)


def test_support_order_and_class_numbers_are_mixed_within_a_task() -> None:
    y = torch.arange(4).repeat(5, 1)
    x = torch.arange(4.0).repeat(5, 1)[..., None]
    tasks = TaskBatch(x, y, x, y)
    other = mixed(tasks, 4, keyed_rng(0, "test"))
    for t in range(5):
        meaning = {float(value): int(number) for value, number in zip(other.support_x[t, :, 0], other.support_y[t], strict=True)}
        assert sorted(meaning) == [0, 1, 2, 3]
        assert sorted(meaning.values()) == [0, 1, 2, 3]
        assert [meaning[float(value)] for value in other.query_x[t, :, 0]] == other.query_y[t].tolist()
    assert len({tuple(row.tolist()) for row in other.support_y}) > 1
    assert len({tuple(row.tolist()) for row in other.support_x[..., 0]}) > 1


def test_snail_is_as_deep_as_its_sequences_are_long() -> None:
    assert SNAIL(points=26).dilations == (1, 2, 4, 8, 16)
    assert SNAIL(points=2).dilations == (1,)


def test_sizes_are_those_of_the_formulas() -> None:
    params = InContextTransformer(points=11, width=64, layers=3, heads=2).initial(5, 1, 1, torch.Generator())
    block = 3 * 64 * 64 + 64 * 64 + 8 * 64 * 64 + (3 + 1 + 4 + 1) * 64 + 4 * 64
    assert size_of(params) == 3 * block + (5 + 1 + 1 + 1) * 64 + 21 * 64 + 65 + 2 * 64


# --- training -------------------------------------------------------------------------------------------------------------


def training(name: str, steps: int, *, classes: int = 0, lr: float = 3e-3, keep_every: int = 10) -> Training:
    draw = blobs if classes else functions
    facts = {"name": name, "steps": steps, "lr": lr}
    return Training(model_of(name, classes), 2, draw, WarmAdam(lr, steps, warm=20), facts, keep_every=keep_every)


def test_the_rate_rises_and_falls() -> None:
    adam = WarmAdam(0.1, total=100, warm=10)
    assert adam.rate(1) == pytest.approx(0.01)
    assert adam.rate(10) == 0.1
    assert adam.rate(55) == pytest.approx(0.05)
    assert adam.rate(100) == pytest.approx(0, abs=1e-12)
    assert WarmAdam(0.1, total=3, warm=10).rate(3) == pytest.approx(0.1)
    start = adam.start({"a": torch.zeros(4)})
    long, short = (adam.step(start, {"a": torch.full((4,), value)}).first["a"] for value in (50.0, 0.01))
    np.testing.assert_allclose(long.norm().item(), 0.1 * 1.0, rtol=1e-5)
    np.testing.assert_allclose(short.numpy(), 0.001, rtol=1e-5)


@pytest.mark.parametrize(("name", "steps"), [("in-context-transformer", 350), ("mann", 500)])
def test_each_learns_to_tell_classes_that_it_has_never_seen(name: str, steps: int) -> None:
    """Two places of a plane, other ones in every sequence: which of them is called 0 stands in the sequence alone."""
    model = SequenceModel(name, SMALL[name], mlp(()), 2)

    def draw(step: int, tasks: int = 32) -> Sequences:
        rng = keyed_rng(0, "places", step)
        centres, y = 3 * rng.standard_normal((tasks, 2, 2)), rng.integers(0, 2, (tasks, 9))
        x = np.take_along_axis(centres, y[..., None], axis=1) + 0.3 * rng.standard_normal((tasks, 9, 2))
        return Sequences(torch.from_numpy(x).float(), torch.from_numpy(y))

    losses: list[float] = []
    trained = Training(model, 2, draw, WarmAdam(3e-3, steps, warm=50), {}, keep_every=50)
    params = trained.run(seen=lambda step, loss: losses.append(loss))
    test = draw(10**6, tasks=300)
    right = (along(model, params, test).argmax(-1) == test.y).float().mean(dim=0)
    assert 0.4 < right[0] < 0.6, "the first is anybody's guess"
    assert right[4:].mean() > 0.6, "1,500 answers: chance is 0.5 ± 0.03"
    assert losses[-1] < losses[0]


def test_snail_learns_from_episodes_of_three_classes() -> None:
    draw = lambda step: blobs(step, tasks=32)  # noqa: E731
    trained = Training(model_of("snail", WAYS), 2, draw, WarmAdam(1e-2, 200, warm=20), {})
    tasks = blobs(10**6, tasks=200)
    right = (ask(trained.model, trained.run(), tasks).argmax(-1) == tasks.query_y).float().mean()
    assert right > 0.75, "chance is 0.33"


def test_the_transformer_comes_close_to_least_squares() -> None:
    """In one dimension a small training is enough: after one point least squares knows everything, and the transformer nearly so."""
    model = SequenceModel("t", InContextTransformer(points=5, width=32, layers=2, heads=2), mlp(()))
    draw = lambda step: functions(step, n=5, tasks=32, d=1)  # noqa: E731
    params = Training(model, 1, draw, WarmAdam(5e-3, 500, warm=50), {}).run()
    points = sample("linear", 500, 5, 1, keyed_rng(0, "test"))
    with torch.no_grad():
        said = along(model, params, Sequences(torch.from_numpy(points.x).float(), torch.from_numpy(points.y).float()))[..., 0]
    errors = ((said.double().numpy() - points.y) ** 2).mean(axis=0)
    assert errors_along(least_squares, points)[:, -1].max() < 1e-12
    assert errors[0] > 0.8
    assert errors[-1] < 0.15, "the mean of y² is 1"


def test_after_a_kill_it_ends_in_the_same_bytes(tmp_path: Path) -> None:
    """A real SIGKILL in another process between two kept states; this process goes on."""
    whole, killed = tmp_path / "whole.safetensors", tmp_path / "killed.safetensors"
    here = Path(__file__).resolve().parent
    code = f"import sys; sys.path.insert(0, {str(here)!r}); import test_sequence as t; from pathlib import Path; "
    code += f"t.torch.set_num_threads(1); t.training('in-context-transformer', 100, keep_every=5).run(Path({str(killed)!r}))"
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(here.parents[1])})
    until = time.monotonic() + 120
    while not killed.exists() and time.monotonic() < until:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        again = training("in-context-transformer", 100, keep_every=5)
        assert 5 <= int(again._kept(killed).step) < 100, "it was to be killed on its way"
        again.run(killed)
        training("in-context-transformer", 100, keep_every=5).run(whole)
    finally:
        torch.set_num_threads(threads)
    assert killed.read_bytes() == whole.read_bytes()


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(IclError, match="unknown model-based learner 'main': did you mean mann"):
        sequence_model("main", points=3)
    with pytest.raises(IclError, match="at most 9 points, but got 12"):
        along(model_of("in-context-transformer"), model_of("in-context-transformer").initial(2, keyed_rng(0, "t")), functions(0, n=12))
    with pytest.raises(IclError, match="at most 9 points"):
        sequence_loss(model_of("snail"), model_of("snail").initial(2, keyed_rng(0, "t")), functions(0, n=12))
    with pytest.raises(IclError, match="64 is none of 5"):
        InContextTransformer(points=3, heads=5)
    with pytest.raises(IclError, match="9 heads and 4 rows"):
        MANN(rows=4, heads=9)
    training("mann", 1).run(tmp_path / "a.safetensors")
    with pytest.raises(IclError, match=r"another training \(other steps\)"):
        training("mann", 2).run(tmp_path / "a.safetensors")
    infinite = replace(training("mann", 1), draw=lambda step: Sequences(functions(0).x, functions(0).y * float("inf")))
    with pytest.raises(IclError, match="diverged in step 1"):
        infinite.run()
