"""Metrics that are means over queries: accuracy, negative log-likelihood, exact match, token F1."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from icl.metrics.types import AnyOutcome, Array, GenerationOutcome, Outcome


@dataclass(frozen=True)
class ChoiceMean:
    """The weighted mean of a value per query, over chosen candidates."""

    name: str
    values: Callable[[Outcome], Array]
    """Outcome → (n_query,)."""
    higher_is_better: bool = True
    needs_labels: bool = False

    def applies(self, outcome: AnyOutcome) -> bool:
        return isinstance(outcome, Outcome)

    def __call__(self, outcome: AnyOutcome, weights: Array | None = None) -> Array:
        assert isinstance(outcome, Outcome)
        return _mean(self.values(outcome), weights)

    def influence(self, outcome: AnyOutcome) -> Array:
        assert isinstance(outcome, Outcome)
        return _mean_influence(self.values(outcome))


@dataclass(frozen=True)
class TextMean:
    """The weighted mean over queries of the best score against any accepted answer."""

    name: str
    score: Callable[[str, str], float]
    """(text, answer) → score."""
    higher_is_better: bool = True
    needs_labels: bool = False

    def applies(self, outcome: AnyOutcome) -> bool:
        return isinstance(outcome, GenerationOutcome)

    def _values(self, outcome: AnyOutcome) -> Array:
        assert isinstance(outcome, GenerationOutcome)
        pairs = zip(outcome.texts, outcome.answers, strict=True)
        return np.array([max(self.score(text, answer) for answer in answers) for text, answers in pairs])

    def __call__(self, outcome: AnyOutcome, weights: Array | None = None) -> Array:
        return _mean(self._values(outcome), weights)

    def influence(self, outcome: AnyOutcome) -> Array:
        return _mean_influence(self._values(outcome))


def _mean(values: Array, weights: Array | None) -> Array:
    # Sums, not BLAS products: their order, and so the last bit, does not depend on the number of threads.
    if weights is None:
        return np.asarray(values.mean())
    mean: Array = (weights * values).sum(axis=-1) / weights.sum(axis=-1)
    return mean


def _mean_influence(values: Array) -> Array:
    influence: Array = (values - values.mean()) / len(values)
    return influence


def correct(outcome: Outcome) -> Array:
    """(n_query,): 1.0 where right."""
    return outcome.correct


def surprise(outcome: Outcome) -> Array:
    """(n_query,): −log p(target), in nats."""
    surprise: Array = -outcome.log_probs[np.arange(len(outcome.target)), outcome.target]
    return surprise


_ARTICLES = re.compile(r"\b(a|an|the)\b")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_NUMERIC = re.compile(r"(?<=\d)\.(?=\d)|(?<![\w.)])-(?=\.?\d)")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_KEPT = {".": "\ue000", "-": "\ue001"}
"""Private-use characters that stand in for a number's point and sign while punctuation is removed."""


def normalise_text(text: str) -> str:
    """SQuAD's normalisation (Rajpurkar et al. 2016): lower case, ASCII punctuation and articles out, white space joined.

    One deviation: a number keeps its decimal point and its minus sign, else 3.5 would equal 35 and −5 would equal 5.
    """
    text = _THOUSANDS.sub("", text.lower())
    text = _NUMERIC.sub(lambda match: _KEPT[match.group()], text).translate(_PUNCTUATION)
    text = " ".join(_ARTICLES.sub(" ", text).split())
    return text.replace(_KEPT["."], ".").replace(_KEPT["-"], "-")


def exact(text: str, answer: str) -> float:
    """1.0 when equal after normalisation."""
    return float(normalise_text(text) == normalise_text(answer))


def token_overlap(text: str, answer: str) -> float:
    """F1 of the normalised words as multisets; where either has no words, 1.0 if neither has any."""
    got, wanted = normalise_text(text).split(), normalise_text(answer).split()
    if not got or not wanted:
        return float(got == wanted)
    common = (Counter(got) & Counter(wanted)).total()
    return 2.0 * common / (len(got) + len(wanted))
