"""Full-context embeddings against the paper's formulas written out by hand; the order of reading is keyed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from arena import plain_episode, plain_tools
from torch import Tensor

from compare.full_context import FullContext
from compare.learners import get_family
from compare.learners.matching_net_fce import backward, shuffled
from compare.meta_gradient import TaskBatch

WIDTH, INPUTS = 3, 4


def network(reads: int = 2) -> FullContext:
    return FullContext.seeded(INPUTS, WIDTH, reads, 5.0, seed=1)


def cell(x: Tensor, h: Tensor, c: Tensor, weights: dict[str, Tensor], suffix: str = "") -> tuple[Tensor, Tensor]:
    """One step of an LSTM for one row: input, forget, candidate and output gates in torch's order."""
    gates = (
        weights["weight_ih" + suffix] @ x + weights["bias_ih" + suffix] + weights["weight_hh" + suffix] @ h + weights["bias_hh" + suffix]
    )
    i, f, g, o = gates.split(WIDTH)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def by_hand(net: FullContext, support: Tensor, members: Tensor, queries: Tensor) -> Tensor:
    """One task: (n, inputs), (n, labels), (m, inputs) → probabilities (m, labels)."""
    zero = torch.zeros(WIDTH, dtype=torch.float64)
    bare, reader = support @ net.map.weight.T, dict(net.support.named_parameters())
    forth, back = [], []
    h, c = zero, zero
    for x in bare:
        h, c = cell(x, h, c, reader, "_l0")
        forth.append(h)
    h, c = zero, zero
    for x in bare.flip(0):
        h, c = cell(x, h, c, reader, "_l0_reverse")
        back.append(h)
    g = bare + torch.stack(forth) + torch.stack(back[::-1])
    rows = []
    for x in queries @ net.map.weight.T:
        h, c = x, zero
        for _ in range(net.reads):
            r = (g @ h).softmax(0) @ g
            fresh, c = cell(torch.cat([x, r]), h, c, dict(net.query.named_parameters()))
            h = fresh + x
        attention = (net.scale * torch.cosine_similarity(h[None], g)).softmax(0)
        rows.append(attention @ members)
    return torch.stack(rows)


def tasks(n: int = 3) -> TaskBatch:
    draw = torch.Generator().manual_seed(0)
    x = [torch.randn(n, rows, INPUTS, generator=draw, dtype=torch.float64) for rows in (4, 5)]
    y = [torch.randint(0, 2, (n, rows), generator=draw) for rows in (4, 5)]
    return TaskBatch(x[0], y[0], x[1], y[1])


def test_the_network_is_that_of_the_paper() -> None:
    net, given = network(), tasks()
    members = torch.nn.functional.one_hot(given.support_y, 2).double()
    found = net(net.embed_support(given.support_x), members, given.query_x).exp()
    for i in range(given.tasks):
        torch.testing.assert_close(found[i], by_hand(net, given.support_x[i], members[i], given.query_x[i]), rtol=1e-10, atol=1e-12)


def test_fewer_tasks_at_a_time_have_the_same_gradient() -> None:
    net, given, found = network(), tasks(), []
    for size in (3, 1):
        backward(net, given, 2, size)
        found.append([p.grad for p in net.parameters()])
    for whole, parts in zip(*found, strict=True):
        assert whole is not None
        assert float(whole.abs().max()) > 0
        torch.testing.assert_close(whole, parts, rtol=1e-10, atol=1e-14)


def test_shuffling_keeps_examples_and_labels_together() -> None:
    given = tasks()
    mixed = shuffled(given, np.random.default_rng(0))
    assert not torch.equal(mixed.support_x, given.support_x)
    for before, after in zip(
        zip(given.support_x, given.support_y, strict=True), zip(mixed.support_x, mixed.support_y, strict=True), strict=True
    ):
        pairs = [{(tuple(row.tolist()), int(label)) for row, label in zip(*of, strict=True)} for of in (before, after)]
        assert pairs[0] == pairs[1]


def test_the_order_of_reading_follows_from_the_stream_alone() -> None:
    family = get_family("matching-net-fce")
    learner: Any = family.build(plain_tools(), family.grid[0]).meta_train([plain_episode(i) for i in range(1, 5)], np.random.default_rng(0))
    episode = plain_episode(9)
    first, again, other = (learner.adapt(episode.support, np.random.default_rng(seed)).predict(episode.queries) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-6


def test_meta_training_lowers_the_loss() -> None:
    family = get_family("matching-net-fce")
    nll = {}
    for steps in (1, 60):
        learner: Any = family.build(plain_tools(meta_steps=steps), replace(family.grid[0], scale=3.0))
        learner = learner.meta_train([plain_episode(i, k=1) for i in range(1, 20)], np.random.default_rng(0))
        scores = [
            (learner.adapt(e.support, np.random.default_rng(0)).predict(e.queries), e.targets)
            for e in (plain_episode(i, k=1) for i in range(50, 60))
        ]
        nll[steps] = np.mean([-s[np.arange(len(t)), t].mean() for s, t in scores])
    assert nll[60] < nll[1] - 0.05
