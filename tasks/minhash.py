"""Near-duplicates among many texts: MinHash signatures in bands (Broder 1997; Leskovec, Rajaraman and Ullman 2014, ch. 3).

Two texts are compared by the Jaccard similarity J = |A ∩ B| / |A ∪ B| of their sets of shingles (SHINGLE words in a row). The smallest
value of a random hash over a set is the same for two sets with probability J, so two texts share a band of ROWS such values with
probability J^ROWS, and none of BANDS bands with (1 − J^ROWS)^BANDS. Texts that share a band are then compared exactly: a pair that is
named is one, and only a pair that is not named can be a mistake (`miss_rate`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from tasks.rng import keyed_rng

SHINGLE, BANDS, ROWS = 2, 32, 4
SHORTEST = 5
"""Words of a text that can have a near-duplicate: in a shorter one a single word makes another thing of it (the two Congos)."""
THRESHOLD = 0.7
"""With two-word shingles about one word of twelve may differ."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Positions of two texts, first < second, and their exact similarity."""

    first: int
    second: int
    similarity: float


def miss_rate(similarity: float) -> float:
    """Probability that a pair of that similarity shares no band and is missed."""
    return float((1 - similarity**ROWS) ** BANDS)


def near_duplicates(texts: Sequence[str], threshold: float = THRESHOLD) -> list[Pair]:
    """Pairs of normalised texts with a similarity of at least `threshold`, in order. The same texts give the same pairs everywhere.

    A text of fewer than SHORTEST words has no pair. Time grows with the square of the number of texts that share a band.
    """
    sets = [shingles(text) for text in texts]
    pairs = (Pair(i, j, _jaccard(sets[i], sets[j])) for i, j in sorted(_candidates(sets)))
    return [pair for pair in pairs if pair.similarity >= threshold]


def shingles(text: str) -> frozenset[str]:
    """All runs of SHINGLE words; none of a text that is too short to be compared."""
    words = text.split()
    if len(words) < SHORTEST:
        return frozenset()
    return frozenset(" ".join(words[i : i + SHINGLE]) for i in range(len(words) - SHINGLE + 1))


def _jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    shared = len(a & b)
    return shared / (len(a) + len(b) - shared)


def _candidates(sets: Sequence[frozenset[str]]) -> set[tuple[int, int]]:
    keys = keyed_rng(0, "minhash").integers(0, 2**64, size=BANDS * ROWS, dtype=np.uint64)
    filled = [i for i, found in enumerate(sets) if found]
    bands = [_bands(sets[i], keys) for i in filled]
    found: set[tuple[int, int]] = set()
    for number in range(BANDS):
        buckets: dict[bytes, list[int]] = {}
        for i, band in zip(filled, bands, strict=True):
            buckets.setdefault(band[number], []).append(i)
        for members in buckets.values():
            found.update(combinations(members, 2))
    return found


def _bands(found: frozenset[str], keys: NDArray[np.uint64]) -> list[bytes]:
    """BANDS pieces of a signature, as bytes that can be compared."""
    values = np.array([_hash(shingle) for shingle in found], dtype=np.uint64)
    signature = _mixed(values[:, None] ^ keys[None, :]).min(axis=0)  # (BANDS * ROWS,)
    return [band.tobytes() for band in signature.reshape(BANDS, ROWS)]


def _hash(shingle: str) -> int:
    return int.from_bytes(hashlib.blake2b(shingle.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def _mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Every bit of the result depends on every bit of x (an exclusive or alone would keep the order of high bits)."""
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        x = (x ^ (x >> np.uint64(33))) * np.uint64(factor)
    mixed: NDArray[np.uint64] = x ^ (x >> np.uint64(33))
    return mixed
