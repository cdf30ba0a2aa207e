"""The meta-gradient against finite differences and against an independent unrolled reference; second order is not first order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import Tensor

from compare.learners.maml import linear_head
from compare.meta_gradient import InnerLoop, TaskBatch, meta_gradient, outer_loop, outer_loss

if TYPE_CHECKING:
    from compare.meta_gradient import Apply, Params

TASKS, SUPPORT, QUERY, WIDTH, HIDDEN, LABELS = 3, 6, 8, 5, 4, 3


def batch() -> TaskBatch:
    draw = torch.Generator().manual_seed(1)

    def rows(n: int) -> tuple[Tensor, Tensor]:
        x = torch.randn(TASKS, n, WIDTH, generator=draw, dtype=torch.float64)
        return x, torch.randint(0, LABELS, (TASKS, n), generator=draw)

    return TaskBatch(*rows(SUPPORT), *rows(QUERY))


def linear_start() -> Params:
    draw = torch.Generator().manual_seed(2)
    weight = torch.randn(LABELS, WIDTH, generator=draw, dtype=torch.float64)
    return {"weight": weight, "bias": torch.randn(LABELS, generator=draw, dtype=torch.float64)}


def network() -> tuple[Apply, Params]:
    torch.manual_seed(3)
    module = torch.nn.Sequential(torch.nn.Linear(WIDTH, HIDDEN), torch.nn.Tanh(), torch.nn.Linear(HIDDEN, LABELS)).double()

    def apply(params: Params, x: Tensor) -> Tensor:
        logits: Tensor = torch.func.functional_call(module, params, (x,))
        return logits

    return apply, {name: value.detach().clone() for name, value in module.named_parameters()}


CASES = {"linear": (linear_head, linear_start()), "hidden": network()}


@pytest.mark.parametrize("case", CASES)
def test_it_equals_central_finite_differences(case: str) -> None:
    apply, start = CASES[case]
    inner, data, step = InnerLoop(apply, lr=0.3, steps=3), batch(), 1e-6
    gradient = meta_gradient(start, data, inner)
    for name, value in start.items():
        numeric = torch.zeros_like(value)
        for i in range(value.numel()):
            sides = []
            for sign in (1, -1):
                moved = {key: tensor.clone() for key, tensor in start.items()}
                moved[name].view(-1)[i] += sign * step
                sides.append(outer_loss(moved, data, inner))
            numeric.view(-1)[i] = (sides[0] - sides[1]) / (2 * step)
        assert float((gradient[name] - numeric).norm() / numeric.norm()) < 1e-5


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("first_order", [False, True])
def test_it_equals_a_loop_unrolled_by_hand(case: str, first_order: bool) -> None:
    apply, start = CASES[case]
    data, lr, steps = batch(), 0.3, 3
    leaves = {name: value.clone().requires_grad_() for name, value in start.items()}
    losses = []
    for t in range(TASKS):
        params = dict(leaves)
        for _ in range(steps):
            loss = torch.nn.functional.cross_entropy(apply(params, data.support_x[t]), data.support_y[t])
            gradient = torch.autograd.grad(loss, list(params.values()), create_graph=not first_order)
            params = {name: value - lr * g for (name, value), g in zip(params.items(), gradient, strict=True)}
        losses.append(torch.nn.functional.cross_entropy(apply(params, data.query_x[t]), data.query_y[t]))
    expected = torch.autograd.grad(torch.stack(losses).mean(), list(leaves.values()))
    got = meta_gradient(start, data, InnerLoop(apply, lr, steps, first_order))
    for name, value in zip(leaves, expected, strict=True):
        torch.testing.assert_close(got[name], value, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_second_order_differs_from_first_order_unless_no_step_is_taken(case: str) -> None:
    apply, start = CASES[case]

    def distance(steps: int) -> float:
        second = meta_gradient(start, batch(), InnerLoop(apply, 0.3, steps))
        first = meta_gradient(start, batch(), InnerLoop(apply, 0.3, steps, first_order=True))
        return float(sum((second[name] - first[name]).norm() for name in start) / sum(value.norm() for value in second.values()))

    assert distance(0) == 0
    assert distance(3) > 0.05


def test_outer_parameters_move_the_loss_falls_and_the_start_stays_as_it_was() -> None:
    start, data, inner = linear_start(), batch(), InnerLoop(linear_head, 0.3, 3)
    before = {name: value.clone() for name, value in start.items()}
    moved = outer_loop(start, data, inner, lr=0.05, steps=30, meta_batch=2, rng=np.random.default_rng(0))
    for name in start:
        assert torch.equal(start[name], before[name])
        assert float((moved[name] - start[name]).norm()) > 0.1
    assert outer_loss(moved, data, inner) < outer_loss(start, data, inner) - 0.1


def test_equal_seeds_give_equal_bytes() -> None:
    runs = [
        outer_loop(
            linear_start(), batch(), InnerLoop(linear_head, 0.3, 2), lr=0.05, steps=5, meta_batch=2, rng=np.random.default_rng(seed)
        )["weight"].numpy().tobytes()
        for seed in (0, 0, 1)
    ]  # fmt: skip
    assert runs[0] == runs[1] != runs[2]
