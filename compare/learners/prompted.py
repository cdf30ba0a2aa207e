"""The language model, as it is or adapted, asked through a task's template: what all learners that answer in words share.

    p(y | x) ∝ Σ_{w in words of y} p_LM(w | demonstrations, query side of x),     then a calibration, if one is asked for

Template, label words, span rule and engine are those of `icl evaluate`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from compare.learners.in_play import builder_in_play
from compare.learners.types import Tools
from compare.training import Lesson
from compare.types import FloatArray, Footprint, Support
from icl.calibration import Calibrator, LabelScores
from icl.cost import forward_flops
from icl.engine.types import ScoreRequest, Work, silent
from icl.plan import CONTENT_FREE, DOMAIN_TEXTS, blank, domain_texts, premise
from icl.synonyms import by_label
from icl.tokenise import tokenise
from prompts import Candidate, Prompt, PromptBuilder
from tasks import Example, IclError, Query

if TYPE_CHECKING:
    from icl.engine.hf import HFEngine


@dataclass(frozen=True)
class Asking:
    """How one support set's queries are put to the model."""

    tools: Tools
    support: Support
    demonstrations: tuple[Example, ...] = ()
    prefix: tuple[int, ...] = ()
    """Token ids before every prompt."""

    @cached_property
    def builder(self) -> PromptBuilder:
        return builder_in_play(self.tools.builders, self.support)

    def candidates(self, query: Query) -> list[Candidate]:
        """The words of the labels in play, in the labels' order."""
        every = self.builder.verbalizer.candidates(query)
        return [candidate for label in self.support.labels for candidate in every if candidate.label == label]

    def requests(self, query: Query) -> list[ScoreRequest]:
        """One per word of each label in play. Raises IclError for a prompt that does not fit."""
        prompts: list[Prompt] = self.builder.prompts(self.demonstrations, query, self.candidates(query))
        requests = tokenise(self.tools.encoder, prompts)
        longest = max(len(request) for request in requests) + len(self.prefix)
        if longest > self.tools.window:
            shown = f" with {len(self.demonstrations)} demonstrations" if self.demonstrations else ""
            raise IclError(
                f"a prompt must fit the context window, but query '{query.id}'{shown} takes {longest} tokens of {self.tools.window}; "
                f"{'use a smaller --k-shot' if self.demonstrations else 'shorten its text or the template'}"
            )
        if not self.prefix:
            return requests
        return [ScoreRequest(self.prefix + r.context, r.answer) for r in requests]

    def lesson(self, example: Example) -> Lesson:
        """An example to train on, asked as a query would be."""
        query = example.query()
        column = {label: j for j, label in enumerate(self.support.labels)}
        labels = tuple(column[candidate.label] for candidate in self.candidates(query))
        return Lesson(tuple(self.requests(query)), labels, column[example.target])

    def lessons(self) -> list[Lesson]:
        """The support, example by example."""
        return [self.lesson(example) for example in self.support.examples]


NOTHING = Footprint(0, 0, 0)
"""Of a model that stays as it is."""


@dataclass(frozen=True)
class PromptPredictor:
    """A model, demonstrations in their order, and a calibration."""

    asking: Asking
    calibrator: Calibrator
    seed: int = 0
    """Of the random in-domain words of domain-context calibration."""
    adapted: HFEngine | None = None
    """An engine over adapted weights; None for the model as it is."""
    trained: Footprint = NOTHING
    """Of the adapted weights."""

    @property
    def footprint(self) -> Footprint:
        """Of the adapted weights and the text of the demonstrations."""
        builder, demonstrations = self.asking.builder, self.asking.demonstrations
        texts = [builder.renderer.demonstration(example, builder.verbalizer.write(example)) for example in demonstrations]
        return replace(self.trained, bytes_per_task=self.trained.bytes_per_task + sum(len(text.encode("utf-8")) for text in texts))

    def predict(self, queries: Sequence[Query]) -> FloatArray:
        """See Predictor. Raises IclError for a prompt that does not fit the context window and for scores that are not finite."""
        asking = self.asking
        free, domain, bare = self._extra_inputs(queries[0])
        everything = [*queries, *free, *domain, *bare]
        requests = [request for query in everything for request in asking.requests(query)]
        words = [candidate.label for candidate in asking.candidates(queries[0])]
        sums = by_label(words, self._sums(requests).reshape(len(everything), len(words)))  # (inputs, labels)
        at, then = len(queries), len(queries) + len(free)
        last = then + len(domain)
        priors = (sums[None, at:then] if free else None, sums[None, then:last] if domain else None, sums[None, last:] if bare else None)
        return self.calibrator(LabelScores(sums[:at], *priors))

    def query_flops(self, queries: int) -> int:
        """Nothing beyond the forward passes."""
        return 0

    def _sums(self, requests: Sequence[ScoreRequest]) -> FloatArray:
        """Log-probability of each request's whole scored span."""
        tools = self.asking.tools
        scorer = self.adapted or tools.kept or tools.engine
        sums = np.array([span.sum() for span in scorer.score(requests, silent)], dtype=np.float64)
        if self.adapted is not None:
            tools.ledger.flops += forward_flops(self.adapted.model, self.adapted.work)
            self.adapted.work = Work()
        if not np.isfinite(sums).all():
            raise IclError("scores must be finite numbers, but a candidate's is not; the model overflows: try --dtype float32")
        return sums

    def _extra_inputs(self, like: Query) -> tuple[list[Query], list[Query], list[Query]]:
        """Content-free inputs, random in-domain inputs and the premise, as far as the calibration needs them."""
        free, domain = [], []
        if self.calibrator.needs == "content_free":
            free = [blank(like, f"free:{i}", [text]) for i, text in enumerate(CONTENT_FREE)]
        if self.calibrator.needs == "domain":
            texts = self.asking.demonstrations or self.asking.support.examples
            words = domain_texts(texts, self.seed, self.asking.support.episode, like)
            domain = [Query(f"domain:{i}", inputs) for i, inputs in zip(range(DOMAIN_TEXTS), words, strict=True)]
        return free, domain, [premise(like)] if self.calibrator.needs == "premise" else []
