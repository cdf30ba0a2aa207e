"""What predictions copy from the context: the last label, the majority's label, the label of the most similar demonstration.

Each is a difference between how often a prediction equals a label and how often it would if it took no notice, so 0 means no bias. All
are means over draws with Student's t over draws, within a draw over its orders and over wordings. Classification only.

- *position j* (recency for the last one; Zhao et al. 2021): share of ŷ = label at j, minus Σ_y (share of ŷ = y)·(share of label y among the
  demonstrations). Orders are random within a draw, so a model that takes no notice of them gets 0.
- *majority* (Zhao et al. 2021): share of ŷ = the draw's most frequent label, minus the share of that same label in the other draws. Draws
  without a single most frequent label are left out.
- *copying* (Lyu et al. 2023): share of ŷ = label of the demonstration with the most words in common with the query, minus the share of that
  label among the predictions for the *other* queries of the same right answer. Similar texts share their labels, so without that
  condition a perfect model would seem to copy.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icl.intervals import Interval, t_interval
from icl.sensitivity.design import Context
from tasks import Example, Query

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Effect:
    """A difference of shares."""

    value: float
    ci95: Interval | None
    """Student's t over draws."""
    draws: int
    """That it could be measured in."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"value": self.value, "ci95": list(self.ci95) if self.ci95 else None, "draws": self.draws}


@dataclass(frozen=True)
class Bias:
    """None where it cannot be measured in two draws."""

    positions: tuple[Effect, ...]
    """One per position, the last one is recency."""
    majority: Effect | None
    copying: Effect | None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "recency": self.positions[-1].to_json(),
            "positions": [effect.to_json() for effect in self.positions],
            "majority": self.majority.to_json() if self.majority else None,
            "copying": self.copying.to_json() if self.copying else None,
        }


def measure_bias(predicted: Indices, contexts: Sequence[Context], queries: Sequence[Example], labels: Sequence[str]) -> Bias:
    """`predicted`: (draw, order, wording, query), positions in `labels`."""
    draws, orders = predicted.shape[:2]
    column = {label: i for i, label in enumerate(labels)}
    shown = np.array([[column[example.target] for example in context.shown] for context in contexts]).reshape(draws, orders, -1)
    shares = np.stack([(predicted == label).mean(axis=(2, 3)) for label in range(len(labels))], axis=-1)  # (draw, order, label)
    target = np.array([column[example.target] for example in queries])
    positions = tuple(_effect(_position(shares, shown, j)) for j in range(shown.shape[-1]))
    return Bias(
        tuple(effect for effect in positions if effect),
        _effect(_majority(shares.mean(axis=1), shown[:, 0])),
        _effect(_copying(predicted, _nearest(contexts, queries, orders, shown[:, 0]), target, len(labels))),
    )


def _effect(of_draws: Sequence[float]) -> Effect | None:
    return Effect(float(np.mean(of_draws)), t_interval(of_draws), len(of_draws)) if len(of_draws) > 1 else None


def _position(shares: Array, shown: Indices, j: int) -> list[float]:
    """One value per draw: shares (draw, order, label), shown (draw, order, position)."""
    labels = shares.shape[-1]
    expected = np.stack([(shown == label).mean(axis=-1) for label in range(labels)], axis=-1)
    seen = np.take_along_axis(shares, shown[..., j][..., None], axis=-1)[..., 0]
    out: list[float] = (seen - (shares * expected).sum(axis=-1)).mean(axis=1).tolist()
    return out


def _majority(shares: Array, shown: Indices) -> list[float]:
    """shares (draw, label), shown (draw, position)."""
    out = []
    for draw in range(len(shares)):
        counts = np.bincount(shown[draw], minlength=shares.shape[1])
        if (counts == counts.max()).sum() == 1:
            label = int(counts.argmax())
            out.append(float(shares[draw, label] - np.delete(shares[:, label], draw).mean()))
    return out


def _copying(predicted: Indices, nearest: Indices, target: Indices, labels: int) -> list[float]:
    """predicted (draw, order, wording, query), nearest (draw, query): label of the most similar demonstration, −1 where there is none."""
    out = []
    for draw, copied in enumerate(nearest):
        differences = []
        for label in range(labels):
            same = np.flatnonzero(target == label)
            for query in same[copied[same] >= 0]:
                others = same[same != query]
                if len(others):
                    wanted = copied[query]
                    differences.append(
                        float((predicted[draw, ..., query] == wanted).mean() - (predicted[draw][..., others] == wanted).mean())
                    )
        if differences:
            out.append(float(np.mean(differences)))
    return out


def _nearest(contexts: Sequence[Context], queries: Sequence[Example], orders: int, shown: Indices) -> Indices:
    """(draw, query): label of the demonstration with the highest Jaccard index of words; of equals the later one in the draw."""
    asked = [_words(example.query()) for example in queries]
    out = np.full((len(shown), len(queries)), -1, dtype=np.int64)
    for draw in range(len(shown)):
        held = [_words(example.query()) for example in contexts[draw * orders].shown]
        for q, words in enumerate(asked):
            likeness = [len(words & other) / max(len(words | other), 1) for other in held]
            best = max(range(len(held)), key=lambda i: (likeness[i], i))
            if likeness[best] > 0:
                out[draw, q] = shown[draw, best]
    return out


def _words(query: Query) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", " ".join(query.inputs.values()).lower()))
