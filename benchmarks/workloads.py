"""The workloads of the benchmark, made with the project's own prompts and tokenisation, so that every program gets the same tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.exchange import Workload
from icl.encode import Encoder
from icl.tokenise import tokenise, tokenise_open
from prompts import PromptBuilder, load_template
from tasks import Example, Task, keyed_rng
from tasks.load import load_task

SEED = 0


@dataclass(frozen=True)
class Setting:
    """What the workloads are made with."""

    tokenizer: Any
    data_dir: Path | None
    scale: float = 1.0
    """Share of the queries that is kept, for trying things out."""

    def count(self, queries: int) -> int:
        return max(2, round(queries * self.scale))


def first_shown(setting: Setting) -> Workload:
    """A: 16 demonstrations, the same for all queries; two labels of one token."""
    task = load_task("movie-sentiment", setting.data_dir)
    shown = drawn(task, 16, "A")
    return scoring(
        "A", "16 shots, 200 queries, 2 one-token labels", task, setting, [(shown, q) for q in asked(task, setting.count(200), "A")]
    )


def many_labels(setting: Setting) -> Workload:
    """B: banking77, a demonstration of every label, 77 candidates of several tokens."""
    task = load_task("banking77", setting.data_dir)
    shown = one_per_label(task, "B")
    pairs = [(shown, q) for q in asked(task, setting.count(100), "B")]
    return scoring("B", "banking77: 77 demonstrations, 100 queries, 77 candidates", task, setting, pairs, slow_queries=1)


def others_for_each(setting: Setting) -> Workload:
    """C: other demonstrations for every query, as a nearest-neighbour selector gives; only the query's candidates share anything."""
    task = load_task("movie-sentiment", setting.data_dir)
    pairs = [(drawn(task, 16, "C", query.id), query) for query in asked(task, setting.count(200), "C")]
    return scoring("C", "16 other demonstrations for every query, 200 queries, 2 labels", task, setting, pairs)


def many_shots(setting: Setting) -> Workload:
    """D: a context of about 4,000 tokens."""
    task = load_task("movie-sentiment", setting.data_dir)
    shown = drawn(task, 128, "D")
    pairs = [(shown, q) for q in asked(task, setting.count(100), "D")]
    return scoring("D", "many-shot: 128 demonstrations, 100 queries, 2 labels", task, setting, pairs, slow_queries=8)


def writing(setting: Setting) -> Workload:
    """E: eight worked answers, then 64 tokens are written."""
    task = load_task("gsm8k", setting.data_dir)
    shown = drawn(task, 8, "E")
    builder = PromptBuilder(load_template(task.default_template), task)
    open_prompts = [builder.open_prompt(shown, q.query()) for q in asked(task, setting.count(32), "E")]
    ids = tokenise_open(Encoder(setting.tokenizer), open_prompts)
    return Workload(
        name="E", title="generation, gsm8k: 8 shots, 32 queries, 64 new tokens", sequences=tuple(map(tuple, ids)),
        scored_from=tuple(map(len, ids)), query=tuple(range(len(ids))), contexts=tuple(p.text for p in open_prompts),
        continuations=("",) * len(ids), max_new_tokens=64,
    )  # fmt: skip


def choices(setting: Setting) -> Workload:
    """P, for parity with lm-eval in float32: four answers of several tokens."""
    task = load_task("openbookqa", setting.data_dir)
    shown = drawn(task, 5, "P")
    pairs = [(shown, q) for q in asked(task, setting.count(100), "P")]
    return scoring("P", "openbookqa: 5 shots, 100 queries, 4 choices", task, setting, pairs)


WORKLOADS: dict[str, Callable[[Setting], Workload]] = {
    "A": first_shown, "B": many_labels, "C": others_for_each, "D": many_shots, "E": writing, "P": choices,
}  # fmt: skip


def scoring(
    name: str, title: str, task: Task, setting: Setting, pairs: Sequence[tuple[Sequence[Example], Example]], slow_queries: int | None = None
) -> Workload:
    """The workload of these (demonstrations, query) pairs: every candidate of every query is scored."""
    builder = PromptBuilder(load_template(task.default_template), task)
    encoder = Encoder(setting.tokenizer)
    contexts, continuations, sequences, starts, query = [], [], [], [], []
    for number, (shown, example) in enumerate(pairs):
        asking = example.query()
        prompts = builder.prompts(shown, asking, builder.verbalizer.candidates(asking))
        contexts.append(prompts[0].context)
        for prompt, request in zip(prompts, tokenise(encoder, prompts), strict=True):
            continuations.append(prompt.answer)
            sequences.append(request.token_ids)
            starts.append(request.scored_from)
            query.append(number)
    return Workload(
        name=name, title=title, sequences=tuple(sequences), scored_from=tuple(starts), query=tuple(query), contexts=tuple(contexts),
        continuations=tuple(continuations), slow_queries=slow_queries,
    )  # fmt: skip


def drawn(task: Task, count: int, *key: str) -> list[Example]:
    """Demonstrations, keyed by the workload (and the query)."""
    pool = task.splits["demonstration"]
    return [pool[int(i)] for i in keyed_rng(SEED, "benchmark", "shown", *key).choice(len(pool), size=count, replace=False)]


def one_per_label(task: Task, *key: str) -> list[Example]:
    """The first demonstration of every label in a keyed order, in that order."""
    pool = task.splits["demonstration"]
    targets, found = pool.targets, dict[str, int]()
    for i in keyed_rng(SEED, "benchmark", "shown", *key).permutation(len(pool)):
        found.setdefault(targets[int(i)], int(i))
    return [pool[i] for i in found.values()]


def asked(task: Task, count: int, *key: str) -> list[Example]:
    """Queries of the test split. Fewer queries are a prefix of more."""
    rows = task.splits["test"]
    return [rows[int(i)] for i in keyed_rng(SEED, "benchmark", "asked", *key).permutation(len(rows))[:count]]
