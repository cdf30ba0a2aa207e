"""Episodes as sequences: what a model says along one, what it says to the queries of a task, and the loss of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from compare.meta_gradient import TaskBatch
from compare.sequence.types import SequenceModel

if TYPE_CHECKING:
    from torch import Tensor

    from compare.meta_gradient import Params


class Sequences(NamedTuple):
    """Equally long sequences."""

    x: Tensor
    """(tasks, n, …)"""
    y: Tensor
    """(tasks, n): numbers, or int64 class numbers"""


def along(model: SequenceModel, params: Params, sequences: Sequences) -> Tensor:
    """What is said at every position: (tasks, n, outputs). One pass, or one per position for a reader that answers the last alone."""
    import torch

    features, labels = model.embed(params, sequences.x), model.labels(sequences.y)
    if model.reader.answers_everywhere:
        return model.reader(params, features, labels)
    lengths = range(1, features.shape[1] + 1)
    return torch.cat([model.reader(params, features[:, :n], labels[:, :n]) for n in lengths], dim=1)


def ask(model: SequenceModel, params: Params, tasks: TaskBatch) -> Tensor:
    """What is said to each query after the whole support: (tasks, n_query, outputs). Queries do not see each other.

    Inputs are embedded once; each query gets a copy of its task's support features. (A body with batch norm still mixes them.)
    """
    import torch

    queries = tasks.query_x.shape[1]
    support, asked = model.embed(params, tasks.support_x), model.embed(params, tasks.query_x)
    shown = support[:, None].expand(-1, queries, -1, -1)  # (tasks, n_query, n_support, width)
    features = torch.cat([shown, asked[:, :, None]], dim=2).flatten(0, 1)
    labels = model.labels(tasks.support_y)
    labels = torch.cat([labels, torch.zeros_like(labels[:, :1])], dim=1)  # the last is not read
    repeated = labels[:, None].expand(-1, queries, -1, -1).flatten(0, 1)
    return model.reader(params, features, repeated)[:, -1].reshape(tasks.tasks, queries, -1)


def sequence_loss(model: SequenceModel, params: Params, sequences: Sequences) -> Tensor:
    """Mean over the positions that one pass says: a scalar."""
    said = model.reader(params, model.embed(params, sequences.x), model.labels(sequences.y))
    return model.loss(said, sequences.y[:, -said.shape[1] :])


def query_loss(model: SequenceModel, params: Params, tasks: TaskBatch) -> Tensor:
    """Mean over all queries: a scalar."""
    return model.loss(ask(model, params, tasks), tasks.query_y)


def mixed(tasks: TaskBatch, classes: int, rng: np.random.Generator) -> TaskBatch:
    """Every task with class numbers of its own (a class has no meaning beyond its episode) and its support in an order of its own."""
    import torch

    from compare.learners.tensors import with_permuted_labels

    order = torch.from_numpy(np.stack([rng.permutation(tasks.support_x.shape[1]) for _ in range(tasks.tasks)]))
    rows = torch.arange(tasks.tasks)[:, None]
    renamed = with_permuted_labels(tasks, classes, rng)
    return renamed._replace(support_x=renamed.support_x[rows, order], support_y=renamed.support_y[rows, order])
