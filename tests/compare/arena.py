"""What the tests of this package share: features that are plain arrays, episodes over them, tasks beside CSV files."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compare.learners import Tools
from compare.types import LearningEpisode, Support
from tasks import Example, Query
from tasks.load import load_task
from tasks.types import Task

LABELS = ("negative", "positive")
WIDTH = 12


class Planes:
    """Features: a label direction per task plus noise, keyed by the row's id `LABEL-NUMBER`. Asking about an unknown row is an error."""

    def __init__(self, gap: float = 3.0) -> None:
        self.gap = gap

    def vectors(self, task: str, queries: Sequence[Query]) -> NDArray[np.float32]:
        direction = np.random.default_rng(7).normal(size=WIDTH)
        direction /= np.linalg.norm(direction)
        rows = []
        for query in queries:
            label, number = query.id.rsplit("-", 1)
            noise = np.random.default_rng([LABELS.index(label), int(number), len(task)]).normal(size=WIDTH)
            rows.append(noise + self.gap * (1 if label == "positive" else -1) * direction)
        return np.array(rows, dtype=np.float32)


def plain_tools(features: Any = None, meta_steps: int = 20) -> Tools:
    """Tools of the learners on features: no language model."""
    nothing: Any = None
    return Tools(features or Planes(), nothing, nothing, {}, 512, "none", meta_steps)


def example(label: str, number: int) -> Example:
    return Example(f"{label}-{number}", {"text": f"{label} text {number}"}, label)


def plain_episode(number: int, k: int = 4, queries: int = 10, task: str = "toy") -> LearningEpisode:
    """K per label in support, `queries` per label; all rows of an episode are its own."""
    start = 1000 * number
    support = tuple(example(label, start + i) for label in LABELS for i in range(k))
    asked = [example(label, start + k + i) for label in LABELS for i in range(queries)]
    return LearningEpisode(
        f"e{number}",
        Support(f"e{number}", task, LABELS, support),
        tuple(e.query() for e in asked),
        np.array([LABELS.index(e.target) for e in asked], dtype=np.int64),
    )


def review_task(
    directory: Path, name: str, rows: int = 160, labels: Sequence[str] = LABELS, related: Sequence[str] = (), shared: int = 0, **more: Any
) -> Task:
    """A card beside made-up reviews whose words tell the label; `shared` texts are the same in every task."""
    import json

    draw = random.Random(name)
    words = {"negative": ["bad", "dull", "poor"], "positive": ["good", "fine", "great"], "neutral": ["long", "short"]}
    lines = ["text,label"]
    for i in range(rows):
        label = labels[i % len(labels)]
        who = "everyone" if i < shared else name
        noun = i if i < shared else draw.randrange(10**9)
        lines.append(f"{words.get(label, [label])[i % min(2, len(words.get(label, [label])))]} thing {noun} of {who},{label}")
    (directory / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    card = {
        "name": name, "kind": "classification", "description": "Made up.", "source": {"type": "files", "path": f"{name}.csv"},
        "splits": {"demonstration": {"from": "all", "part": "0-40"}, "validation": {"from": "all", "part": "40-70"},
                   "test": {"from": "all", "part": "70-100"}},
        "inputs": {"text": "text"}, "target": "label", "labels": {label: label for label in labels}, "template": "sentiment-plain",
        "licence": "CC0-1.0", "citation": "made up for a test", "related": list(related), **more,
    }  # fmt: skip
    path = directory / f"{name}.yaml"
    path.write_text(json.dumps(card), encoding="utf-8")
    return load_task(path)
