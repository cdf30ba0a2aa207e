"""What the evaluated model makes of prompts, for selectors and orders that choose by its scores: it is asked while a run is planned."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from icl.calibration.types import normalise
from icl.encode import Encoder
from icl.engine.types import Engine, ScoreRequest, silent
from icl.tokenise import tokenise, tokenise_open
from prompts import Candidate, PromptBuilder
from tasks import Example, IclError, Query


class PromptJudge:
    """Scores through the run's own template and engine, so the score store keeps it all."""

    def __init__(self, engine: Engine, encoder: Encoder, builder: Callable[[tuple[str, ...]], PromptBuilder], window: int) -> None:
        self.engine = engine
        self.encoder = encoder
        self.builder = builder
        """Labels in play → what writes their prompts."""
        self.window = window
        """Longest sequence of the model, in tokens."""

    def answers(self, labels: Sequence[str], queries: Sequence[Query], contexts: Sequence[Sequence[Example]]) -> NDArray[np.float64]:
        """Log-probabilities over each query's candidates after each list of demonstrations, normalised: (contexts, queries, candidates).

        -inf stands where a query has fewer candidates than another.

        Raises IclError for a query without candidates, and for a prompt that does not fit the window.
        """
        builder = self.builder(tuple(labels))
        candidates = [builder.verbalizer.candidates(query) for query in queries]
        for query, of in zip(queries, candidates, strict=True):
            if not of:
                raise IclError(f"a choice by label scores needs candidates, but '{query.id}' has none; use --selector knn, --order given")
        requests = [
            request
            for shown in contexts
            for query, of in zip(queries, candidates, strict=True)
            for request in tokenise(self.encoder, builder.prompts(shown, query, of))
        ]
        sums = iter(self._sums(requests))
        out = np.full((len(contexts), len(queries), max(map(len, candidates))), -np.inf)
        for c in range(len(contexts)):
            for q, of in enumerate(candidates):
                out[c, q, : len(of)] = [next(sums) for _ in of]
        return normalise(out)

    def likelihood(self, labels: Sequence[str], examples: Sequence[Example], contexts: Sequence[Sequence[Example]]) -> NDArray[np.float64]:
        """Log-probability of each example's own answer after each list of demonstrations, (contexts, examples): a sum over its tokens.

        Also for tasks whose answers are free. Raises IclError for a prompt that does not fit the window.
        """
        builder = self.builder(tuple(labels))
        answers = [Candidate(example.target, builder.verbalizer.write(example)) for example in examples]
        requests = [
            request
            for shown in contexts
            for example, answer in zip(examples, answers, strict=True)
            for request in tokenise(self.encoder, builder.prompts(shown, example.query(), [answer]))
        ]
        return np.array(self._sums(requests)).reshape(len(contexts), len(examples))

    def surprise(self, labels: Sequence[str], queries: Sequence[Query]) -> NDArray[np.float64]:
        """Mean of −log p per token of each query side, without demonstrations: the logarithm of its perplexity, (queries,).

        The first token has nothing before it and is not counted. Raises IclError for a text of one token or one that does not fit.
        """
        builder = self.builder(tuple(labels))
        ids = tokenise_open(self.encoder, [builder.open_prompt([], query) for query in queries])
        for query, row in zip(queries, ids, strict=True):
            if len(row) < 2:
                raise IclError(f"a perplexity needs two tokens, but the prompt of '{query.id}' has one; give the template some text")
        sums = self._sums([ScoreRequest.whole(tuple(row), 1) for row in ids])
        mean: NDArray[np.float64] = np.array(sums) / np.array([len(row) - 1 for row in ids])
        return -mean

    def _sums(self, requests: Sequence[ScoreRequest]) -> list[float]:
        longest = max((len(request) for request in requests), default=0)
        if longest > self.window:
            raise IclError(
                f"a prompt must fit the context window to be judged for a choice, but one takes {longest} tokens of {self.window}; "
                "use fewer --shots, or another --selector or --order"
            )
        sums = [float(span.sum()) for span in self.engine.score(requests, silent)]
        if not np.isfinite(sums).all():
            raise IclError("scores must be finite numbers, but a judged prompt has another; the model overflows: try --dtype float32")
        return sums
