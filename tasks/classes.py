"""Classes that are learnt from and classes that are held out: the disjoint parts of a many-class task (its card's key `classes`).

An episode of held-out classes may draw on all rows of a class, whatever split of the source they stand in. Half of them, by the hash of
the text, can be support and the other half can be asked, so that no row is shown by one episode and asked by another.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

from tasks.errors import IclError
from tasks.normalise import bucket, example_key
from tasks.types import ClassPart, Examples, Task, with_labels

HALF = 50
"""Percent of a class's rows that can be support."""


def class_task(task: Task, part: ClassPart) -> Task:
    """The task of one part's classes alone: all their rows, half of them as `demonstration`, half as `test`.

    Raises IclError for a task whose card names no classes.
    """
    from datasets import concatenate_datasets

    if not task.classes:
        raise IclError(
            f"episodes of some of many classes need disjoint classes to meta-train on and to hold out, but the card of '{task.name}' names "
            "none; add 'classes: {train: [LABEL, …], validation: [LABEL, …], test: [LABEL, …]}', or leave --n-way out"
        )
    wanted = set(task.classes[part])
    rows = Examples(concatenate_datasets([split.table for split in task.splits.values()]))
    halves: dict[str, list[int]] = {"demonstration": [], "test": []}
    for i, example in enumerate(rows):
        if example.target in wanted:
            halves["demonstration" if bucket(example_key(example, task.kind)) < HALF else "test"].append(i)
    return replace(
        with_labels(task, [label for label in task.labels if label in wanted]),
        splits={role: Examples(rows.table.select(at)) for role, at in halves.items()},
        fingerprint=hashlib.sha256("\x1f".join([task.fingerprint, part, *sorted(wanted)]).encode("utf-8")).hexdigest(),
        classes={},
    )
