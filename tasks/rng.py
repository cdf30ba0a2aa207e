"""Keyed randomness: every random stream is a pure function of (seed, purpose, item ids).

There is no shared generator anywhere. Which examples are drawn therefore does not depend on the order of iteration, on batch
size, on the number of processes or on resuming.
"""

from __future__ import annotations

import hashlib

import numpy as np


def keyed_rng(seed: int, purpose: str, *item: str | int) -> np.random.Generator:
    """A generator of its own for (seed, purpose, item); the same key gives the same stream in every process."""
    key = "\x1f".join([str(seed), purpose, *map(str, item)])
    digest = hashlib.sha256(key.encode("utf-8")).digest()
    return np.random.default_rng(np.frombuffer(digest, dtype=np.uint32))
