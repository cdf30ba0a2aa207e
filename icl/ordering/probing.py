"""Orders that the model chooses: permutations are compared by what the model answers to probes after each of them (Lu et al. 2022).

- `global-entropy`: the most even predictions, arg max −Σ_y p̂(y) log p̂(y), with p̂ the shares of predicted labels over the probes (GlobalE).
- `local-entropy`: the least overconfident ones, arg max of the mean over probes of −Σ_y q(y | x, C) log q(y | x, C) (LocalE).
- `exhaustive`: the best ones, arg max of the mean over probes of log q(y* | x, C), so it reads their labels; all k! permutations, k <= 5.

Probes are 16 examples of the pool that are not shown (all of them where fewer are left); queries are never looked at. The paper lets the
model write its probes; ours are real inputs of the task. The entropies compare 24 permutations: all of them for k <= 4, else the given
order and 23 drawn ones. Ties fall to the permutation that comes first, the given order before all others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import permutations
from math import factorial

import numpy as np
from numpy.typing import NDArray

from icl.ordering.types import Pool
from icl.selection.types import Judge
from tasks.errors import IclError
from tasks.types import LETTERS, Example, Query

PROBES = 16
PERMUTATIONS = 24
MOST_EXHAUSTIVE = 5

Merit = Callable[[NDArray[np.float64], NDArray[np.int64]], NDArray[np.float64]]
"""Log-probabilities (permutations, probes, candidates; -inf where there is none), right columns (probes,) → merit (permutations,)."""


@dataclass(frozen=True)
class ProbingOrder:
    """One order per context; the model reads every permutation with every probe."""

    name: str
    judge: Judge
    merit: Merit
    exhaustive: bool = False
    per_query: bool = False

    def arrange(self, shown: Sequence[Example], pool: Pool, query: Query | None, rng: np.random.Generator) -> list[int]:
        """Raises IclError for too many demonstrations for `exhaustive`, and for a pool that holds nothing else to probe with."""
        if self.exhaustive and len(shown) > MOST_EXHAUSTIVE:
            raise IclError(
                f"order '{self.name}' tries all permutations, so shots <= {MOST_EXHAUSTIVE} must hold, but got {len(shown)}; "
                "use --order local-entropy, or fewer --shots"
            )
        if len(shown) < 2:
            return list(range(len(shown)))
        tried = candidates_of(len(shown), rng, every=self.exhaustive)
        probes = self._probes(shown, pool, rng)
        log_q = self.judge.answers(pool.labels, [e.query() for e in probes], [[shown[i] for i in order] for order in tried])
        names = pool.labels or LETTERS
        right = np.array([names.index(example.target) for example in probes])
        merit = np.round(self.merit(log_q, right), 9)  # sums in another order are no reason to prefer one
        return list(tried[int(np.argmax(merit))])

    def _probes(self, shown: Sequence[Example], pool: Pool, rng: np.random.Generator) -> list[Example]:
        ids = getattr(pool.examples, "ids", None) or [example.id for example in pool.examples]
        stands = {example.id for example in shown}
        rest = [i for i, id in enumerate(ids) if id not in stands]
        if not rest:
            raise IclError(f"order '{self.name}' needs examples of the pool that are not shown, but all {len(ids)} are; use fewer --shots")
        return [pool.examples[rest[int(i)]] for i in rng.choice(len(rest), size=min(PROBES, len(rest)), replace=False)]


def candidates_of(k: int, rng: np.random.Generator, *, every: bool) -> list[tuple[int, ...]]:
    """Permutations of k to compare, the identity first: all of them, or 24 where there are more and not `every` one is asked for."""
    if every or factorial(k) <= PERMUTATIONS:
        return list(permutations(range(k)))
    return [tuple(range(k)), *(tuple(int(i) for i in rng.permutation(k)) for _ in range(PERMUTATIONS - 1))]


def global_entropy(log_q: NDArray[np.float64], right: NDArray[np.int64]) -> NDArray[np.float64]:
    """Entropy of the predicted labels' shares."""
    predicted = log_q.argmax(axis=2)
    shares = (predicted[:, :, None] == np.arange(log_q.shape[2])).mean(axis=1)
    return entropy(shares)


def local_entropy(log_q: NDArray[np.float64], right: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean entropy of the probes' label distributions."""
    mean: NDArray[np.float64] = entropy(np.exp(log_q)).mean(axis=1)
    return mean


def likelihood(log_q: NDArray[np.float64], right: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean log-probability of the right answers."""
    mean: NDArray[np.float64] = log_q[:, np.arange(len(right)), right].mean(axis=1)
    return mean


def entropy(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """−Σ p log p over the last axis, in nats; 0 log 0 = 0."""
    total: NDArray[np.float64] = -(p * np.log(np.where(p > 0, p, 1))).sum(axis=-1)
    return total
