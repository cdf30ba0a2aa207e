"""Meta-gradients against `higher`, finite differences and a loop unrolled by hand; second order is not first order; outer parameters move."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from arena import plain_episode, plain_tools
from torch import Tensor

from compare.backbones import Backbone, mlp
from compare.learners import LEARNERS, anil, fomaml, maml, meta_sgd, reptile
from compare.memory import OutOfMemory
from compare.meta_gradient import TaskBatch, cross_entropy, displacement, meta_gradient, outer_loss, squared_error
from compare.meta_method import Inner, Method
from compare.outer import Adam, Annealed, meta_step
from compare.traced import traced
from compare.types import Learns

if TYPE_CHECKING:
    from compare.meta_gradient import Loss, Params

TASKS, SUPPORT, QUERY, WIDTH, OUTPUTS, STEPS = 3, 6, 8, 5, 3, 3
LR = 0.3
LOSSES: dict[str, Loss] = {"classes": cross_entropy, "numbers": squared_error}
HIDDEN = {"linear": (), "hidden": (4,)}
SECOND = {"maml": maml.METHOD, "anil": anil.METHOD, "meta-sgd": meta_sgd.METHOD}
METHODS = {**SECOND, "fomaml": fomaml.METHOD, "reptile": reptile.METHOD}


def batch(kind: str = "classes") -> TaskBatch:
    draw = torch.Generator().manual_seed(1)

    def rows(n: int) -> tuple[Tensor, Tensor]:
        x = torch.randn(TASKS, n, WIDTH, generator=draw, dtype=torch.float64)
        classes = torch.randint(0, OUTPUTS, (TASKS, n), generator=draw)
        return x, classes if kind == "classes" else torch.randn(TASKS, n, OUTPUTS, generator=draw, dtype=torch.float64)

    return TaskBatch(*rows(SUPPORT), *rows(QUERY))


def inner_loop(kind: str = "classes", net: str = "hidden", steps: int = STEPS, lr: float = LR) -> Inner:
    return Inner(mlp(HIDDEN[net]), lr, steps, LOSSES[kind])


def start_of(method: Method, inner: Inner) -> Params:
    """Weights large enough for curvature, and rates that differ."""
    draw = torch.Generator().manual_seed(2)
    params = inner.backbone.initial(WIDTH, OUTPUTS, np.random.default_rng(0), torch.float64)
    params = {name: torch.randn(value.shape, generator=draw, dtype=torch.float64) for name, value in params.items()}
    meta = method.begin(inner, params)
    return {name: value * (1 + 0.1 * torch.rand(value.shape, generator=draw, dtype=torch.float64)) for name, value in meta.items()}


class Module(torch.nn.Module):
    """The network of backbones/mlp.py (one hidden layer) written a second time, as torch writes networks."""

    def __init__(self, params: Params) -> None:
        super().__init__()
        self.first, self.second = torch.nn.Linear(WIDTH, 4).double(), torch.nn.Linear(4, OUTPUTS).double()
        for layer, name in ((self.first, "body.0"), (self.second, "head")):
            layer.weight.data, layer.bias.data = params[f"{name}.weight"].clone(), params[f"{name}.bias"].clone()

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x).relu())


ORDER = ("body.0.weight", "body.0.bias", "head.weight", "head.bias")


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("name", SECOND)
def test_it_equals_higher(name: str, kind: str) -> None:
    """`higher` 0.2.1 (Grefenstette et al. 2019), its own differentiable SGD, task by task."""
    import higher

    method, inner, data = SECOND[name], inner_loop(kind), batch(kind)
    meta = start_of(method, inner)
    module = Module(meta)
    rates = [meta[meta_sgd.RATE + key].clone().requires_grad_() for key in ORDER] if name == "meta-sgd" else None
    adapted = module.second.parameters() if name == "anil" else module.parameters()
    optimiser = torch.optim.SGD(adapted, lr=LR)
    losses = []
    for xs, ys, xq, yq in zip(*data, strict=True):
        with higher.innerloop_ctx(module, optimiser, copy_initial_weights=False) as (network, sgd):
            for _ in range(STEPS):
                loss = LOSSES[kind](network(xs), ys)
                if rates is None:
                    sgd.step(loss)
                else:  # its SGD takes one rate for a tensor; the functional module takes any new parameters
                    fast = list(network.parameters())
                    gradient = torch.autograd.grad(loss, fast, create_graph=True)
                    network.update_params([p - rate * g for p, rate, g in zip(fast, rates, gradient, strict=True)])
            losses.append(LOSSES[kind](network(xq), yq))
    leaves = [*module.parameters(), *(rates or [])]
    expected = torch.autograd.grad(torch.stack(losses).mean(), leaves)
    got = meta_gradient(meta, data, partial(method.adapt, inner), inner.objective)
    keys = [*ORDER, *(meta_sgd.RATE + key for key in ORDER if rates)]
    assert set(keys) == set(got)
    for key, value in zip(keys, expected, strict=True):
        torch.testing.assert_close(got[key], value, rtol=0, atol=1e-10)


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("net", HIDDEN)
@pytest.mark.parametrize("name", SECOND)
def test_it_equals_central_finite_differences(name: str, net: str, kind: str) -> None:
    method, inner, data, step = SECOND[name], inner_loop(kind, net, lr=0.1), batch(kind), 1e-6
    start = start_of(method, inner)
    adapt = partial(method.adapt, inner)
    gradient = meta_gradient(start, data, adapt, inner.objective)
    for key, value in start.items():
        numeric = torch.zeros_like(value)
        for i in range(value.numel()):
            sides = []
            for sign in (1, -1):
                moved = {name: tensor.clone() for name, tensor in start.items()}
                moved[key].view(-1)[i] += sign * step
                sides.append(outer_loss(moved, data, adapt, inner.objective))
            numeric.view(-1)[i] = (sides[0] - sides[1]) / (2 * step)
        assert float((gradient[key] - numeric).norm() / numeric.norm()) < 1e-5


@pytest.mark.parametrize("first_order", [False, True])
def test_it_equals_a_loop_unrolled_by_hand(first_order: bool) -> None:
    method, inner, data = fomaml.METHOD if first_order else maml.METHOD, inner_loop(), batch()
    start = start_of(method, inner)
    leaves = {name: value.clone().requires_grad_() for name, value in start.items()}
    losses = []
    for xs, ys, xq, yq in zip(*data, strict=True):
        params = dict(leaves)
        for _ in range(STEPS):
            gradient = torch.autograd.grad(inner.objective(params, xs, ys), list(params.values()), create_graph=not first_order)
            params = {name: value - LR * g for (name, value), g in zip(params.items(), gradient, strict=True)}
        losses.append(inner.objective(params, xq, yq))
    expected = torch.autograd.grad(torch.stack(losses).mean(), list(leaves.values()))
    got = method.direction(inner, start, data)
    for name, value in zip(leaves, expected, strict=True):
        torch.testing.assert_close(got[name], value, rtol=1e-10, atol=1e-12)


def test_second_order_differs_from_first_order_unless_no_step_is_taken() -> None:
    def distance(steps: int) -> float:
        inner = inner_loop(steps=steps)
        start = start_of(maml.METHOD, inner)
        second, first = (method.direction(inner, start, batch()) for method in (maml.METHOD, fomaml.METHOD))
        return float(sum((second[name] - first[name]).norm() for name in start) / sum(value.norm() for value in second.values()))

    assert distance(0) == 0
    assert distance(3) > 0.05


def test_anil_adapts_the_head_and_learns_the_body() -> None:
    inner, data = inner_loop(), batch()
    start = start_of(anil.METHOD, inner)
    adapted = anil.adapt(inner, start, data.support_x[0], data.support_y[0])
    assert {name for name in start if not torch.equal(adapted[name], start[name])} == {"head.weight", "head.bias"}
    assert all(float(g.norm()) > 1e-3 for g in anil.METHOD.direction(inner, start, data).values())


def test_meta_sgd_with_equal_rates_adapts_as_maml_does() -> None:
    inner, data = inner_loop(), batch()
    params = start_of(maml.METHOD, inner)
    one = maml.adapt(inner, params, data.support_x[0], data.support_y[0])
    other = meta_sgd.adapt(inner, meta_sgd.begin(inner, params), data.support_x[0], data.support_y[0])
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_reptile_goes_to_the_mean_of_the_adapted_parameters() -> None:
    """Against plain SGD, task by task; and every row is used as often as any other, up to the last incomplete pass."""
    inner, data = Inner(mlp((4,)), 0.05, steps=4, batch=7), batch()
    start = start_of(reptile.METHOD, inner)
    tasks = reptile.arrange(inner, data, np.random.default_rng(0))
    assert tasks.support_x.shape == (TASKS, 28, WIDTH)
    assert len(np.unique(tasks.support_x[0].numpy(), axis=0)) == SUPPORT + QUERY
    ends = []
    for x, y in zip(tasks.support_x, tasks.support_y, strict=True):
        module = Module(start)
        sgd = torch.optim.SGD(module.parameters(), lr=0.05)
        for i in range(4):
            sgd.zero_grad()
            cross_entropy(module(x[7 * i : 7 * i + 7]), y[7 * i : 7 * i + 7]).backward()
            sgd.step()
        ends.append([p.detach() for p in module.parameters()])
    got = reptile.METHOD.direction(inner, start, tasks)
    for i, name in enumerate(ORDER):
        torch.testing.assert_close(start[name] - got[name], torch.stack([end[i] for end in ends]).mean(dim=0), rtol=0, atol=1e-12)


def test_chunks_of_tasks_change_nothing_but_memory() -> None:
    inner, data = inner_loop(), batch()
    start = start_of(maml.METHOD, inner)
    adapt = partial(maml.adapt, inner)
    whole = meta_gradient(start, data, adapt, inner.objective)
    for size in (1, 2):
        parts = meta_gradient(start, data, adapt, inner.objective, chunk_size=size)
        assert all(torch.allclose(whole[name], parts[name], rtol=0, atol=1e-14) for name in whole)
        moved, of_parts = (displacement(start, data, adapt, chunks) for chunks in (None, size))
        assert all(torch.allclose(moved[name], of_parts[name], rtol=0, atol=1e-14) for name in moved)


@pytest.mark.parametrize("name", ["maml", "reptile", "protonet"])
def test_out_of_memory_takes_fewer_tasks_and_then_says_so(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    family, episodes = LEARNERS[name], [plain_episode(i) for i in range(8)]
    learner = family.build(plain_tools(meta_steps=3), family.grid[-1])
    whole = learner.meta_train(episodes, np.random.default_rng(0))
    take, sizes = TaskBatch.take, list[int]()

    def scarce(self: TaskBatch, chosen: Any) -> TaskBatch:
        taken = take(self, chosen)
        if isinstance(chosen, slice):
            sizes.append(taken.tasks)
            if taken.tasks > room:
                raise MemoryError
        return taken

    monkeypatch.setattr(TaskBatch, "take", scarce)
    room = 2
    parts = learner.meta_train(episodes, np.random.default_rng(0))
    assert sizes == [8, 4] + [2] * 12, "the smaller size stays"
    assert isinstance(whole, Learns)
    assert isinstance(parts, Learns)
    for key, value in whole.learnt().items():
        torch.testing.assert_close(parts.learnt()[key], value, rtol=0, atol=1e-10)
    room = 0
    with pytest.raises(OutOfMemory, match=f"{name} in meta-training needs more memory than there is"):
        learner.meta_train(episodes, np.random.default_rng(0))


def test_adam_is_torchs_adam() -> None:
    params = {"a": torch.randn(4, 3, dtype=torch.float64), "b": torch.randn(3, dtype=torch.float64)}
    leaves = [value.clone() for value in params.values()]
    theirs = torch.optim.Adam(leaves, lr=0.03)
    state = Adam(0.03).start(params)
    for step in range(5):
        gradient = {name: torch.sin(value + step) for name, value in state.params.items()}
        for leaf, g in zip(leaves, gradient.values(), strict=True):
            leaf.grad = g
        theirs.step()
        state = Adam(0.03).step(state, gradient)
        for leaf, value in zip(leaves, state.params.values(), strict=True):
            torch.testing.assert_close(leaf.detach(), value, rtol=0, atol=1e-12)
    assert int(state.step) == 5


def run(method: Method, steps: int, compiled: bool = False, optimiser: Any = None) -> tuple[Params, Params]:
    inner = inner_loop()
    start = start_of(method, inner)
    optimiser = optimiser or Adam(0.05)
    step: Any = meta_step(partial(method.direction, inner), optimiser)
    step = traced(step) if compiled else step
    state, rng = optimiser.start(start), np.random.default_rng(0)
    for _ in range(steps):
        state = step(state, method.arrange(inner, batch(), rng))
    return start, state.params


@pytest.mark.parametrize("name", METHODS)
def test_outer_parameters_move_the_loss_falls_and_the_start_stays_as_it_was(name: str) -> None:
    method, inner, data = METHODS[name], inner_loop(), batch()
    before = start_of(method, inner)
    start, moved = run(method, 30, optimiser=Annealed(1.0, 30) if name == "reptile" else None)
    adapt = partial(method.adapt, inner)
    for key in start:
        assert torch.equal(start[key], before[key])
        assert float((moved[key] - start[key]).norm()) > 0.01
    assert outer_loss(moved, data, adapt, inner.objective) < outer_loss(start, data, adapt, inner.objective) - 0.1


@pytest.mark.parametrize("name", METHODS)
def test_a_traced_step_gives_the_same_bytes(name: str) -> None:
    plain, fast = run(METHODS[name], 3)[1], run(METHODS[name], 3, compiled=True)[1]
    assert {key: value.numpy().tobytes() for key, value in plain.items()} == {key: value.numpy().tobytes() for key, value in fast.items()}


def test_one_tensor_in_two_places_is_two_inputs_of_a_trace() -> None:
    product, x = traced(lambda a, b: a * b), torch.full((2,), 3.0)
    assert product(x, x).tolist() == [9.0, 9.0]
    assert product(x, x + 1).tolist() == [12.0, 12.0]


def test_a_backbone_is_its_head_after_its_body() -> None:
    network: Backbone = mlp((4,))
    params = network.initial(WIDTH, OUTPUTS, np.random.default_rng(0), torch.float64)
    x = torch.randn(2, WIDTH, dtype=torch.float64)
    torch.testing.assert_close(network(params, x), Module(params)(x), rtol=0, atol=1e-14)
