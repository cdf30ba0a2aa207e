"""From episodes to what the model is asked: demonstrations, whole prompts, token ids.

An `Item` is one thing to score or to write: a query of the episode, a content-free input, a text of random in-domain words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from icl.ablation import shown_as
from icl.anchors import labelled, unlabelled
from icl.encode import Encoder
from icl.engine.types import ScoreRequest
from icl.ordering import Order, Pool
from icl.selection import Chooser, Selector
from icl.selection.types import Embed, embedder_of, judge_of, text_of
from icl.spec import RunSpec
from icl.tokenise import tokenise, tokenise_channel, tokenise_open
from prompts import Candidate, Prompt, PromptBuilder
from tasks import Episode, Example, IclError, Query, Task, keyed_rng

Part = Literal["query", "content_free", "domain", "premise", "channel", "estimation", "anchor"]
"""What an item is for. Anchors are read up to the answer, all others are scored."""

Asked = tuple[Part, Query, Example | None]
"""What a context is asked besides its queries; with the example, where its label is known."""

CONTENT_FREE = ("N/A", "[MASK]", "")
"""The content-free inputs of Zhao et al. 2021, section 5."""

GIANT = 8
"""Times the median number of words that a text may add to the domain's words where longer ones distort the mean."""

DOMAIN_TEXTS = 20
"""Texts of random in-domain words per context (Fei et al. 2023, section 3)."""


@dataclass(frozen=True)
class Item:
    """One query side under one context, with its candidates."""

    part: Part
    query: Query
    belongs_to: str
    """Id of the query whose context this is; empty when the whole episode shares it."""
    candidates: tuple[Candidate, ...]
    prompts: list[Prompt]
    """One per candidate; empty when only generation is asked."""
    requests: list[ScoreRequest]
    open_prompt: Prompt | None
    """For generation."""
    open_ids: list[int]
    example: Example | None
    """With the answer, of queries and anchors."""
    dropped: int
    """Demonstrations dropped to fit the context window."""
    shown: tuple[str, ...] = ()
    """Answers that the demonstrations show, in order: not the true ones under a label ablation."""


@dataclass(frozen=True)
class Planner:
    """Makes the items of an episode. Pure: equal spec and episode, equal items."""

    spec: RunSpec
    task: Task
    builder: Callable[[tuple[str, ...]], PromptBuilder]
    """Labels in play → what writes their prompts."""
    encoder: Encoder
    window: int
    selector: Selector
    order: Order
    parts: frozenset[Part]
    """Which items to make besides the queries."""
    generate: bool
    _domains: dict[tuple[str, ...], list[dict[str, str]]] = field(default_factory=dict)
    """Random texts of the episode under way."""
    _leasts: dict[str, int] = field(default_factory=dict)
    """Demonstrations that all queries of the episode under way drop."""

    @property
    def embed(self) -> Embed | None:
        """What selector or order embed texts with."""
        return embedder_of(self.selector) or embedder_of(self.order)

    @property
    def asks_engine(self) -> bool:
        """Whether planning needs the engine, which does one thing at a time."""
        return self.embed is not None or (judge_of(self.selector) or judge_of(self.order)) is not None

    def items(
        self,
        episode: Episode,
        chooser: Chooser,
        support: Sequence[Example],
        queries: Sequence[Example],
        *,
        first: bool = True,
        every: Sequence[Example] = (),
    ) -> Iterator[Item]:
        """These queries in their order; what calibrations need of a context follows it. `every`: all queries of the episode.

        A context that all queries of the episode share is asked once, in the `first` section, and belongs to nobody; its anchors are
        in every section. Queries that had to drop more demonstrations than the others have contexts of their own.
        """
        if embed := self.embed:
            embed([text_of(example.query()) for example in queries])  # all at once, not one by one below
        shared = None if self.selector.per_query or self.order.per_query else self._demonstrations(episode, chooser, support, None)
        least = self._least(episode, chooser, support, shared, every or queries)
        free: dict[int, list[Item]] = {}
        dropped: dict[str, int] = {}
        for example in queries:
            if shared is None:
                shown = self._demonstrations(episode, chooser, support, example.query())
                context: dict[int, list[Item]] = {}
                item, own = self._fitted(episode, support, shown, example, context, least)
                yield item
                yield from _owned([*context[item.dropped], *own], example.id)
            else:
                item, own = self._fitted(episode, support, shared, example, free, least)
                dropped[example.id] = item.dropped
                yield item
                yield from _owned(own, example.id)
        for example in queries:
            if dropped.get(example.id, least) != least:
                yield from _owned(free[dropped[example.id]], example.id)
        if shared is not None and all(self._length(item) <= self.window for item in free[least]):
            yield from (item for item in free[least] if first or item.part == "anchor")

    def _least(
        self, episode: Episode, chooser: Chooser, support: Sequence[Example], shared: Sequence[Example] | None, every: Sequence[Example]
    ) -> int:
        """Demonstrations that every query of the episode drops: with `--overflow fewer` so many that all fit, else 0."""
        if self.spec.overflow != "fewer":
            return 0
        if episode.id not in self._leasts:
            least, free = 0, dict[int, list[Item]]()
            for example in every:
                shown = self._demonstrations(episode, chooser, support, example.query()) if shared is None else shared
                item, _ = self._fitted(episode, support, shown, example, {} if shared is None else free, least)
                least = item.dropped
            self._leasts.clear()
            self._leasts[episode.id] = least
        return self._leasts[episode.id]

    def _demonstrations(self, episode: Episode, chooser: Chooser, support: Sequence[Example], query: Query | None) -> list[Example]:
        """What stands before this query, or before all queries of the episode. A selection that does not look at queries is one for all."""
        asked = query if self.selector.per_query else None
        chosen = chooser.choose(asked, self.spec.shots, keyed_rng(self.spec.seed, "select", episode.id, asked.id if asked else ""))
        shown = [support[i] for i in chosen]
        arranged = query if self.order.per_query else None
        rng = keyed_rng(self.spec.seed, "order", episode.id, asked.id if asked else "")
        places = self.order.arrange(shown, Pool(support, episode.labels), arranged, rng)
        return [shown_as(shown[i], self.spec.labels, episode.labels, self.spec.seed, episode.id) for i in places]

    def _fitted(
        self,
        episode: Episode,
        support: Sequence[Example],
        shown: Sequence[Example],
        example: Example,
        free: dict[int, list[Item]],
        least: int,
    ) -> tuple[Item, list[Item]]:
        """A query and what is asked for it alone under one context: as many demonstrations as leave room for all that is asked of it.

        `free` remembers the content-free items of these demonstrations by how many were dropped; queries share them. How many to drop is
        found by halving, from `least` on: with hundreds of demonstrations, one after another would tokenise hundreds of prompts.
        """
        query = example.query()

        def attempt(dropped: int) -> tuple[Item, list[Item], Item]:
            kept = shown[dropped:]
            if dropped not in free:
                asked = [*self._free_queries(episode, support, query), *self._pool_queries(episode, support, shown)]
                free[dropped] = [self._item(episode, part, of, kept, known, dropped) for part, of, known in asked]
            item = self._item(episode, "query", query, kept, example, dropped)
            own = self._own_items(episode, query, kept, dropped)
            return item, own, max([item, *free[dropped], *own], key=self._length)

        def fits(tried: tuple[Item, list[Item], Item]) -> bool:
            return self._length(tried[2]) <= self.window

        tried = attempt(least)
        if not fits(tried) and self.spec.overflow != "error":
            low, high = least, len(shown)
            tried = attempt(high)
            while fits(tried) and high - low > 1:
                middle = (low + high) // 2
                if fits(at := attempt(middle)):
                    high, tried = middle, at
                else:
                    low = middle
        item, own, longest = tried
        if fits(tried):
            return item, own
        kept = len(shown) - item.dropped
        where = f"query '{longest.query.id}' with {kept} demonstrations" if kept else f"query '{longest.query.id}' alone"
        advice = "; use fewer --shots, or --overflow drop (or fewer) to leave out whole demonstrations" if kept else ""
        raise IclError(f"a prompt must fit the context window, but {where} takes {self._length(longest)} tokens of {self.window}{advice}")

    def _free_queries(self, episode: Episode, support: Sequence[Example], like: Query) -> Iterator[Asked]:
        if "content_free" in self.parts:
            for number, text in enumerate(CONTENT_FREE):
                yield "content_free", blank(like, f"content-free:{number}", [text]), None
        if "domain" in self.parts:
            for number, words in enumerate(self._domain(episode, support, like)):
                choices = tuple(next(iter(words.values())) for _ in like.choices)
                yield "domain", Query(f"domain:{number}", words, choices), None
        if "premise" in self.parts and not like.choices:
            yield "premise", premise(like), None

    def _domain(self, episode: Episode, support: Sequence[Example], like: Query) -> list[dict[str, str]]:
        """The episode's random texts, made once: reading two hundred rows for every query's own context takes longer than the rest."""
        key = (episode.id, *like.inputs)
        if key not in self._domains:
            self._domains.clear()
            self._domains[key] = list(domain_texts(support, self.spec.seed, episode.id, like))
        return self._domains[key]

    def _pool_queries(self, episode: Episode, support: Sequence[Example], shown: Sequence[Example]) -> Iterator[Asked]:
        """Examples of the pool in the query's place. Under a label ablation, anchors have the labels that they would show."""
        labels, stand = episode.labels or self.task.labels, {example.id for example in shown}
        if "estimation" in self.parts:
            drawn = unlabelled(support, stand, labels, keyed_rng(self.spec.seed, "estimation", episode.id))
            for number, example in enumerate(drawn):
                yield "estimation", replace(example.query(), id=f"estimation:{number}"), None
        if "anchor" in self.parts:
            for example in labelled(support, stand, labels, keyed_rng(self.spec.seed, "anchors", episode.id)):
                yield "anchor", example.query(), shown_as(example, self.spec.labels, labels, self.spec.seed, episode.id)

    def _own_items(self, episode: Episode, query: Query, kept: Sequence[Example], dropped: int) -> list[Item]:
        """What is asked for one query alone: its input after each answer, and its premise where its choices are its own."""
        own = []
        if "premise" in self.parts and query.choices:
            own.append(self._item(episode, "premise", premise(query), kept, None, dropped))
        if "channel" in self.parts:
            builder = self.builder(episode.labels)
            candidates = builder.verbalizer.candidates(query)
            prompts = builder.channel_prompts(kept, query, candidates)
            requests = tokenise_channel(self.encoder, prompts)
            own.append(Item("channel", replace(query, id="channel"), "", candidates, prompts, requests, None, [], None, dropped))
        return own

    def _item(self, episode: Episode, part: Part, query: Query, kept: Sequence[Example], example: Example | None, dropped: int) -> Item:
        builder = self.builder(episode.labels)
        scored = not self.generate or bool(query.choices)
        candidates = builder.verbalizer.candidates(query) if scored else ()
        prompts = builder.prompts(kept, query, candidates)
        open_prompt = builder.open_prompt(kept, query) if self.generate and part == "query" else None
        open_ids = tokenise_open(self.encoder, [open_prompt])[0] if open_prompt else []
        requests = tokenise(self.encoder, prompts)
        return Item(part, query, "", candidates, prompts, requests, open_prompt, open_ids, example, dropped, tuple(e.target for e in kept))

    def _length(self, item: Item) -> int:
        return length_of(item, self.task)


def length_of(item: Item, task: Task) -> int:
    """Tokens that the longest prompt of an item takes, with what the model may write."""
    room = task.max_new_tokens if item.open_prompt else 0
    return max([len(r) for r in item.requests] + [len(item.open_ids) + room])


def _owned(items: Iterable[Item], query: str) -> Iterator[Item]:
    """The same content-free items as those of one query's context."""
    return (replace(item, belongs_to=query) for item in items)


def blank(like: Query, id: str, texts: Sequence[str]) -> Query:
    """A query of the same shape whose every field and choice is the same content-free text."""
    return Query(id, dict.fromkeys(like.inputs, texts[0]), tuple(texts[0] for _ in like.choices))


def premise(like: Query) -> Query:
    """The query side without its inputs; choices stay."""
    return Query("premise", dict.fromkeys(like.inputs, ""), like.choices)


def domain_texts(support: Sequence[Example], seed: int, episode: str, like: Query) -> Iterator[dict[str, str]]:
    """Fields filled with random words of the support pool, as many as a text of that field has on average (Fei et al. 2023).

    A few giants would make the average of them alone: where it is more than eight times the median, only the beginnings of texts count.
    """
    sample_rng = keyed_rng(seed, "domain-sample", episode)
    rows = sample_rng.choice(len(support), size=min(len(support), 200), replace=False)
    texts: dict[str, list[list[str]]] = {name: [] for name in like.inputs}
    for row in rows:
        inputs = support[int(row)].inputs
        for name, found in texts.items():
            found.append(inputs[name].split())
    words = {name: _without_giants(found) for name, found in texts.items()}
    for number in range(DOMAIN_TEXTS):
        rng = keyed_rng(seed, "domain", episode, number)
        yield {name: _draw(rng, found, len(rows)) for name, found in words.items()}


def _without_giants(texts: Sequence[Sequence[str]]) -> list[str]:
    """All words of all texts; if their mean number is more than eight times its median (empty texts left out), only so many of each."""
    lengths = [len(text) for text in texts if text]
    most = GIANT * int(np.median(lengths)) if lengths else 0
    cut = most if sum(lengths) > most * len(texts) else None
    return [word for text in texts for word in text[:cut]]


def _draw(rng: Any, words: list[str], texts: int) -> str:
    if not words:
        return ""
    return " ".join(words[int(i)] for i in rng.integers(0, len(words), size=max(1, round(len(words) / texts))))
