"""In-context learning: the support set stands in the prompt, the weights stay as they are (Brown et al. 2020).

    p(y | x, S) ∝ p_LM(word(y) | demonstrations of S in random order, query side of x),  then the calibration of icl, if one is asked for

The same template, label words, scoring and calibration as `icl evaluate`. Adapting computes nothing: without a prefix kept from one call
to the next, the demonstrations are read when queries come (once per call, shared by the call's queries).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from compare.learners.in_play import builder_in_play
from compare.learners.types import Tools
from compare.types import FloatArray, Footprint, LearningEpisode, Support
from icl.calibration import Calibrator, LabelScores, get_calibrator
from icl.engine.types import Engine, ScoreRequest, silent
from icl.plan import CONTENT_FREE, DOMAIN_TEXTS, blank, domain_texts, premise
from icl.synonyms import by_label
from icl.tokenise import tokenise
from prompts import Candidate, Prompt, PromptBuilder
from tasks import Example, IclError, Query


@dataclass(frozen=True)
class Settings:
    """Nothing is searched: template and calibration are the user's choice."""

    order: str = "random"


GRID = (Settings(),)


@dataclass(frozen=True)
class InContext:
    """See the module's opening."""

    tools: Tools
    calibrator: Calibrator
    name: str = "in-context"
    meta_flops: int = 0

    @property
    def transductive(self) -> bool:
        """True with batch calibration, which sees the whole query batch."""
        return self.calibrator.transductive

    def meta_train(self, episodes: Sequence[LearningEpisode], rng: np.random.Generator) -> InContext:
        """The identity."""
        return self

    def adapt(self, support: Support, rng: np.random.Generator) -> InContextPredictor:
        """Fixes the order of the demonstrations."""
        order = rng.permutation(len(support.examples))
        demonstrations = tuple(support.examples[int(i)] for i in order)
        return InContextPredictor(self.tools, self.calibrator, support, demonstrations, int(rng.integers(2**31)))


@dataclass(frozen=True)
class InContextPredictor:
    """Demonstrations in their order, ready to stand before a query."""

    tools: Tools
    calibrator: Calibrator
    support: Support
    demonstrations: tuple[Example, ...]
    seed: int
    """Of the random in-domain words of domain-context calibration."""

    @cached_property
    def builder(self) -> PromptBuilder:
        return builder_in_play(self.tools.builders, self.support)

    @property
    def footprint(self) -> Footprint:
        """No parameters; the text of the demonstrations is what must be kept."""
        render, write = self.builder.renderer, self.builder.verbalizer.write
        texts = [render.demonstration(example, write(example)) for example in self.demonstrations]
        return Footprint(0, 0, sum(len(text.encode("utf-8")) for text in texts))

    def predict(self, queries: Sequence[Query]) -> FloatArray:
        """See Predictor. Raises IclError for a prompt that does not fit the context window and for scores that are not finite."""
        free, domain, bare = self._extra_inputs(queries[0])
        everything = [*queries, *free, *domain, *bare]
        requests = [request for query in everything for request in self.requests(query)]
        words = [candidate.label for candidate in self._candidates(queries[0])]
        sums = by_label(words, _sums(self.tools.engine, requests).reshape(len(everything), len(words)))  # (inputs, labels)
        at, then = len(queries), len(queries) + len(free)
        last = then + len(domain)
        priors = (sums[None, at:then] if free else None, sums[None, then:last] if domain else None, sums[None, last:] if bare else None)
        scores = LabelScores(sums[:at], *priors)
        return self.calibrator(scores)

    def query_flops(self, queries: int) -> int:
        """Nothing beyond the forward passes."""
        return 0

    def requests(self, query: Query) -> list[ScoreRequest]:
        """One per word of each label in play. Raises IclError for a prompt that does not fit."""
        prompts: list[Prompt] = self.builder.prompts(self.demonstrations, query, self._candidates(query))
        requests = tokenise(self.tools.encoder, prompts)
        longest = max(len(request.token_ids) for request in requests)
        if longest > self.tools.window:
            raise IclError(
                f"a prompt must fit the context window, but query '{query.id}' with {len(self.demonstrations)} demonstrations takes "
                f"{longest} tokens of {self.tools.window}; use a smaller --k-shot"
            )
        return requests

    def _candidates(self, query: Query) -> list[Candidate]:
        """The words of the labels in play, in the labels' order."""
        every = self.builder.verbalizer.candidates(query)
        return [candidate for label in self.support.labels for candidate in every if candidate.label == label]

    def _extra_inputs(self, like: Query) -> tuple[list[Query], list[Query], list[Query]]:
        """Content-free inputs, random in-domain inputs and the premise, as far as the calibration needs them."""
        free, domain = [], []
        if self.calibrator.needs == "content_free":
            free = [blank(like, f"free:{i}", [text]) for i, text in enumerate(CONTENT_FREE)]
        if self.calibrator.needs == "domain":
            words = domain_texts(self.demonstrations, self.seed, self.support.episode, like)
            domain = [Query(f"domain:{i}", inputs) for i, inputs in zip(range(DOMAIN_TEXTS), words, strict=True)]
        return free, domain, [premise(like)] if self.calibrator.needs == "premise" else []


def build(tools: Tools, settings: Settings) -> InContext:
    """Raises IclError for an unknown calibration."""
    return InContext(tools, get_calibrator(tools.calibration))


def _sums(engine: Engine, requests: Sequence[ScoreRequest]) -> FloatArray:
    """Log-probability of each request's whole scored span."""
    sums = np.array([span.sum() for span in engine.score(requests, silent)], dtype=np.float64)
    if not np.isfinite(sums).all():
        raise IclError("scores must be finite numbers, but a candidate's is not; the model overflows in this dtype: try --dtype float32")
    return sums
