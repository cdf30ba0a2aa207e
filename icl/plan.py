"""From episodes to what the model is asked: demonstrations, whole prompts, token ids.

An `Item` is one thing to score or to write: a query of the episode, a content-free input, a text of random in-domain words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from icl.engine.types import ScoreRequest
from icl.selection import Chooser, Selector
from icl.selection.knn import KNNSelector
from icl.selection.types import text_of
from icl.spec import RunSpec
from icl.tokenise import tokenise, tokenise_open
from prompts import Candidate, Prompt, PromptBuilder
from tasks import Episode, Example, IclError, Query, Task, keyed_rng

Part = Literal["query", "content_free", "domain"]

CONTENT_FREE = ("N/A", "[MASK]", "")
"""The content-free inputs of Zhao et al. 2021, section 5."""

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
    """With the answer; None for content-free items."""
    dropped: int
    """Demonstrations dropped to fit the context window."""


@dataclass(frozen=True)
class Planner:
    """Makes the items of an episode. Pure: equal spec and episode, equal items."""

    spec: RunSpec
    task: Task
    builder: PromptBuilder
    tokenizer: Any
    window: int
    selector: Selector
    parts: frozenset[Part]
    """Which items to make besides the queries."""
    generate: bool

    def chooser(self, support: Sequence[Example]) -> Chooser:
        """The selector, prepared for a support pool."""
        return self.selector.over(support, self.task.labels)

    def items(self, episode: Episode, chooser: Chooser, support: Sequence[Example], queries: Sequence[Example]) -> Iterator[Item]:
        """Queries first, in the episode's order, then what calibrations need."""
        if isinstance(self.selector, KNNSelector):
            self.selector.embed([text_of(example.query()) for example in queries])  # all at once, not one by one below
        shared = None if self.selector.per_query else self._demonstrations(episode, chooser, support, None)
        first: list[Example] = []
        for example in queries:
            shown = shared if shared is not None else self._demonstrations(episode, chooser, support, example.query())
            first = first or shown
            yield self._item("query", example.query(), "" if shared is not None else example.id, shown, example)
            if shared is None:
                yield from self._free_items(episode, support, shown, example.id, example.query())
        if shared is not None:
            yield from self._free_items(episode, support, shared, "", queries[0].query())

    def _demonstrations(self, episode: Episode, chooser: Chooser, support: Sequence[Example], query: Query | None) -> list[Example]:
        rng = keyed_rng(self.spec.seed, "select", episode.id, query.id if query else "")
        chosen = chooser.choose(query, self.spec.shots, rng)
        return [support[i] for i in chosen]

    def _free_items(
        self, episode: Episode, support: Sequence[Example], shown: list[Example], belongs_to: str, like: Query
    ) -> Iterator[Item]:
        if "content_free" in self.parts:
            for number, text in enumerate(CONTENT_FREE):
                yield self._item("content_free", blank(like, f"content-free:{number}", [text]), belongs_to, shown, None)
        if "domain" in self.parts:
            for number, words in enumerate(domain_texts(support, self.spec.seed, episode.id, like)):
                choices = tuple(next(iter(words.values())) for _ in like.choices)
                yield self._item("domain", Query(f"domain:{number}", words, choices), belongs_to, shown, None)

    def _item(self, part: Part, query: Query, belongs_to: str, shown: Sequence[Example], example: Example | None) -> Item:
        scored = not self.generate or bool(query.choices)
        candidates = self.builder.verbalizer.candidates(query) if scored else ()
        for dropped in range(len(shown) + 1):
            kept = shown[dropped:]
            prompts = self.builder.prompts(kept, query, candidates)
            requests = tokenise(self.tokenizer, prompts)
            open_prompt = self.builder.open_prompt(kept, query) if self.generate else None
            open_ids = tokenise_open(self.tokenizer, [open_prompt])[0] if open_prompt else []
            room = self.task.max_new_tokens if self.generate else 0
            longest = max([len(r.token_ids) for r in requests] + [len(open_ids) + room])
            if longest <= self.window:
                return Item(part, query, belongs_to, candidates, prompts, requests, open_prompt, open_ids, example, dropped)
            if self.spec.overflow == "error":
                raise IclError(
                    f"a prompt must fit the context window, but query '{query.id}' with {len(kept)} demonstrations takes {longest} tokens "
                    f"of {self.window}; use fewer --shots, or --overflow drop to leave out whole demonstrations"
                )
        raise IclError(f"a prompt must fit the context window, but query '{query.id}' alone takes {longest} tokens of {self.window}")


def blank(like: Query, id: str, texts: Sequence[str]) -> Query:
    """A query of the same shape whose every field and choice is the same content-free text."""
    return Query(id, dict.fromkeys(like.inputs, texts[0]), tuple(texts[0] for _ in like.choices))


def domain_texts(support: Sequence[Example], seed: int, episode: str, like: Query) -> Iterator[dict[str, str]]:
    """Fields filled with random words of the support pool, as many as a text of that field has on average (Fei et al. 2023)."""
    sample_rng = keyed_rng(seed, "domain-sample", episode)
    rows = sample_rng.choice(len(support), size=min(len(support), 200), replace=False)
    words: dict[str, list[str]] = {name: [] for name in like.inputs}
    for row in rows:
        inputs = support[int(row)].inputs
        for name in words:
            words[name].extend(inputs[name].split())
    for number in range(DOMAIN_TEXTS):
        rng = keyed_rng(seed, "domain", episode, number)
        yield {name: _draw(rng, found, len(rows)) for name, found in words.items()}


def _draw(rng: Any, words: list[str], texts: int) -> str:
    if not words:
        return ""
    return " ".join(words[int(i)] for i in rng.integers(0, len(words), size=max(1, round(len(words) / texts))))
