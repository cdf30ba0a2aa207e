"""Episodes a second of the learners on kept features: `python benchmarks/feature_learners.py --data-dir DIR`.

5-way 5-shot episodes of banking77's held-out classes, 75 queries: real texts through the template, features of 576 random numbers kept from
before (how they got there is the language model's cost, measured elsewhere). Adapting and predicting on one thread,
in CPU time, which other jobs on the machine do not lengthen much.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from compare.features import FeatureStore, Rows
from compare.learners import LEARNERS, Tools
from compare.types import LearningEpisode, Support
from icl.engine.types import Progress
from prompts import PromptBuilder, load_template
from tasks import Query, Task
from tasks.classes import class_task
from tasks.episodes import resolve, sample_kshot, support_at
from tasks.load import load_task

WIDTH, WAYS, SHOTS, QUERIES = 576, 5, 5, 75


def episodes_of(task: Task, n: int) -> list[LearningEpisode]:
    """n episodes with the answers of their queries."""
    out = []
    for e in sample_kshot(task, n=n, k_shot=(SHOTS,), n_query=QUERIES, split_query="test", n_way=WAYS, seed=0):
        queries = resolve(e, task)[1]
        support = Support(e.id, task.name, e.labels, tuple(support_at(e, task, SHOTS)))
        targets = np.array([e.labels.index(q.target) for q in queries], dtype=np.int64)
        out.append(LearningEpisode(e.id, support, tuple(q.query() for q in queries), targets))
    return out


@dataclass(frozen=True)
class Drawn:
    """An extractor of random vectors."""

    builder: PromptBuilder
    rng: np.random.Generator

    def text(self, task: str, query: Query) -> str:
        """The query side of the template."""
        return self.builder.renderer.query(query)

    def tokens(self, texts: Sequence[str]) -> list[tuple[int, ...]]:
        """Bytes: nobody reads them."""
        return [tuple(text.encode()) for text in texts]

    def embed(self, ids: Mapping[str, tuple[int, ...]], progress: Progress) -> Rows:
        """(texts, WIDTH)."""
        return self.rng.normal(size=(len(ids), WIDTH)).astype(np.float32)

    def flops(self, lengths: Sequence[int]) -> int:
        """None."""
        return 0


def tools_for(task: Task, episodes: list[LearningEpisode]) -> Tools:
    """Tools whose features are there already."""
    nothing: Any = None
    store = FeatureStore(Drawn(PromptBuilder(load_template("classify-plain"), task), np.random.default_rng(0)))
    store.compute(store.text(task.name, query) for e in episodes for query in (*e.support.queries, *e.queries))
    return Tools(store, nothing, nothing, {}, 9999, "none", meta_steps=3)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--episodes", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    task = class_task(load_task("banking77", options.data_dir), "test")
    episodes = episodes_of(task, options.episodes)
    tools = tools_for(task, episodes)
    print("| learner | ms of CPU per episode | episodes per CPU second |\n|---|---|---|")
    for name, family in LEARNERS.items():
        if not family.uses_features:
            continue
        learner = family.build(tools, family.grid[0]).meta_train(episodes[:8], np.random.default_rng(0))
        learner.adapt(episodes[0].support, np.random.default_rng(0)).predict(episodes[0].queries)  # imports what it needs
        taken = []
        for _ in range(options.rounds):
            since = time.process_time()
            for e in episodes:
                learner.adapt(e.support, np.random.default_rng(0)).predict(e.queries)
            taken.append((time.process_time() - since) / len(episodes))
        print(f"| {name} | {1000 * statistics.median(taken):.2f} | {1 / statistics.median(taken):,.0f} |", flush=True)


if __name__ == "__main__":
    main()
