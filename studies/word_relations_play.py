"""Ways to learn a word relation from K pairs, on the same episodes: in the prompt, by LoRA, by both.

`icl compare` asks for labels that all queries share; here every query has ten candidates of its own. Prompts, scoring, the loss over
candidates, LoRA's factors and the training loop are those of `icl` and `compare`; what is here puts them together for such queries.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compare.learners.lora import LoraFactors, Settings
from compare.training import Lesson, epochs, train
from icl.cost import forward_flops
from icl.encode import Encoder
from icl.engine.hf import HFEngine
from icl.engine.types import ScoreRequest, Work, silent
from icl.metrics import predict
from icl.plan import premise
from icl.tokenise import tokenise
from prompts import PromptBuilder
from tasks import Example, IclError, Query, keyed_rng

PROMPTS = ("in-context", "in-context, pmi")
WEIGHTS = ("lora", "lora, then prompt")
ARMS = (*PROMPTS, *WEIGHTS)


@dataclass(frozen=True)
class Relation:
    """The language model, asked about one relation."""

    engine: HFEngine
    encoder: Encoder
    builder: PromptBuilder

    def requests(self, query: Query, shown: Sequence[Example] = ()) -> list[ScoreRequest]:
        """One per candidate of the query, after the pairs shown."""
        return tokenise(self.encoder, self.builder.prompts(shown, query, self.builder.verbalizer.candidates(query)))

    def lesson(self, pair: Example) -> Lesson:
        """A support pair to train on, asked as a query would be; its wrong candidates are answers of other support-split rows."""
        return Lesson(tuple(self.requests(pair.query())), tuple(range(len(pair.choices))), right(pair))

    def scores(self, engine: HFEngine, queries: Sequence[Query], shown: Sequence[Example] = ()) -> NDArray[np.float64]:
        """Log-probability of every candidate: (queries, candidates)."""
        requests = [request for query in queries for request in self.requests(query, shown)]
        sums = np.array([span.sum() for span in engine.score(requests, silent)], dtype=np.float64)
        return sums.reshape(len(queries), -1)


def right(example: Example) -> int:
    """Position of the right candidate."""
    return example.choices.index(example.target)


@dataclass(frozen=True)
class Outcome:
    """One arm on one episode at one K."""

    arm: str
    accuracy: float
    adapt_seconds: float
    query_seconds: float
    """Per query."""
    adapt_flops: int
    query_flops: int
    """Per query."""
    failed: str = ""
    """Why training failed; then accuracy is that of a guess, and nothing was asked."""


def play(
    relation: Relation, support: Sequence[Example], queries: Sequence[Example], settings: Settings, item: tuple[Any, ...]
) -> list[Outcome]:
    """Every arm on one support set, which may be empty (then only the prompts); `item` keys what LoRA draws."""
    asked = [example.query() for example in queries]
    plain, prior = Timed(relation.engine), Timed(relation.engine)
    said = plain(lambda: relation.scores(relation.engine, asked, support))
    bare = prior(lambda: relation.scores(relation.engine, [premise(query) for query in asked], support))
    prompts = [outcome("in-context", said, queries, plain), outcome("in-context, pmi", said - bare, queries, plain, prior)]
    return [*prompts, *(weights(relation, support, queries, settings, item) if support else ())]


def weights(
    relation: Relation, support: Sequence[Example], queries: Sequence[Example], settings: Settings, item: tuple[Any, ...]
) -> Iterator[Outcome]:
    """LoRA on the support, asked without and then with the support in the prompt."""
    rng = keyed_rng(*item)
    since = time.perf_counter()
    copied = LoraFactors(settings.rank)(relation.engine.model, int(rng.integers(2**63)))
    batches = epochs([relation.lesson(pair) for pair in support], settings.steps, rng)
    try:
        flops = train(relation.engine, copied, batches, settings.lr, f"lora on {relation.builder.task.name}")
    except IclError as error:  # it diverged
        yield from (Outcome(arm, 1 / len(queries[0].choices), 0.0, 0.0, 0, 0, str(error)) for arm in WEIGHTS)
        return
    seconds = time.perf_counter() - since
    adapted = relation.engine.over(copied.model)
    asked = [example.query() for example in queries]
    for arm, shown in zip(WEIGHTS, ((), tuple(support)), strict=True):
        timed = Timed(adapted)
        found = timed(lambda shown=shown: relation.scores(adapted, asked, shown))
        yield replace(outcome(arm, found, queries, timed), adapt_seconds=seconds, adapt_flops=flops)


@dataclass
class Timed:
    """Calls something that scores, and says what that took."""

    engine: HFEngine
    seconds: float = 0.0
    flops: int = 0

    def __call__(self, scoring: Callable[[], NDArray[np.float64]]) -> NDArray[np.float64]:
        """What it returns."""
        self.engine.work = Work()
        since = time.perf_counter()
        found = scoring()
        self.seconds = time.perf_counter() - since
        self.flops = forward_flops(self.engine.model, self.engine.work)
        return found


def outcome(arm: str, scores: NDArray[np.float64], queries: Sequence[Example], *timed: Timed) -> Outcome:
    """Share of queries whose right candidate has the highest score, and what asking took."""
    targets = np.array([right(example) for example in queries])
    accuracy = float((predict(scores, [example.id for example in queries]) == targets).mean())
    n = len(queries)
    return Outcome(arm, accuracy, 0.0, sum(t.seconds for t in timed) / n, 0, round(sum(t.flops for t in timed) / n))
