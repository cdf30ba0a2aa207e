"""TokenTree: all token sequences of a batch of prompts, shared prefixes stored once.

Nodes are numbered in depth-first order over the lexicographically sorted sequences, so the tree is a pure function of the *set* of
sequences, and one array says everything about ancestry: with `end[v]` the end of v's subtree, u is an ancestor of v (or v itself)
exactly when `u <= v < end[u]`. A chunk is a run of consecutive nodes; whatever its nodes need from before the chunk lies on the single
path from the root to the chunk's first node (a node before the chunk whose subtree reaches into it contains that first node).
No torch here: the tree is data.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
BIG_ENDIAN = np.dtype(">u4")


@dataclass(frozen=True)
class Chunk:
    """Nodes [start, stop) of a tree and the nodes outside the chunk that they attend to."""

    start: int
    stop: int
    path: IntArray
    """Ancestors of node `start`, root first: shape (depth[start],)."""


@dataclass(frozen=True)
class TokenTree:
    """See the module's opening; every array has one entry per node unless said otherwise."""

    token: IntArray
    depth: IntArray
    """Position of the token in its sequence, from 0."""
    parent: IntArray
    """-1 for the first token of a sequence."""
    end: IntArray
    """One past the last node of the node's subtree."""
    leaf: IntArray
    """Per sequence (in the order given): its last node."""
    total_tokens: int
    """Sum of the lengths of all sequences."""

    @classmethod
    def build(cls, sequences: Iterable[Sequence[int]]) -> TokenTree:
        """The tree of these sequences (each of at least one token). Raises ValueError for an empty sequence."""
        # Big-endian bytes sort like the numbers, and a prefix sorts before what it begins. Of all sequences at once, only they are kept.
        packed = [np.asarray(sequence, dtype=BIG_ENDIAN).tobytes() for sequence in sequences]
        if not all(packed):
            raise ValueError("a sequence must have at least one token, but one has none")
        token: list[IntArray] = []
        parent: list[IntArray] = []
        depth: list[IntArray] = []
        left: list[tuple[IntArray, int]] = []
        """Nodes whose subtree ended, and where."""
        leaf = np.zeros(len(packed), dtype=np.int64)
        path = np.zeros(max(map(len, packed), default=0) // 4, dtype=np.int64)
        previous = np.zeros(0, dtype=np.int64)
        count = 0
        for i in sorted(range(len(packed)), key=packed.__getitem__):
            array = np.frombuffer(packed[i], dtype=BIG_ENDIAN).astype(np.int64)
            shared = _common(previous, array)
            fresh = len(array) - shared
            if fresh:
                left.append((path[shared : len(previous)].copy(), count))
                path[shared : len(array)] = np.arange(count, count + fresh)
                first = path[shared - 1] if shared else -1
                parent.append(np.concatenate([[first], path[shared : len(array) - 1]]))
                depth.append(np.arange(shared, len(array)))
                token.append(array[shared:])
                count += fresh
            leaf[i] = path[len(array) - 1]
            previous = array
        end = np.full(count, count, dtype=np.int64)
        for nodes, stop in left:
            end[nodes] = stop
        return cls(_join(token), _join(depth), _join(parent), end, leaf, sum(map(len, packed)) // 4)

    def __len__(self) -> int:
        """Number of nodes: of distinct prefixes."""
        return len(self.token)

    def nodes(self, sequence: int) -> IntArray:
        """The nodes of a sequence, root first: shape (its length,)."""
        return self.path_to(int(self.leaf[sequence]))

    def path_to(self, node: int) -> IntArray:
        """Ancestors of a node and the node itself, root first."""
        path = np.empty(self.depth[node] + 1, dtype=np.int64)
        for position in range(len(path) - 1, -1, -1):
            path[position] = node
            node = int(self.parent[node])
        return path

    def tail(self, sequence: int, start: int) -> IntArray:
        """The nodes of a sequence from its position `start` on, without walking up to the root."""
        node = int(self.leaf[sequence])
        out = np.empty(int(self.depth[node]) + 1 - start, dtype=np.int64)
        for position in range(len(out) - 1, -1, -1):
            out[position] = node
            node = int(self.parent[node])
        return out

    def sequence(self, index: int) -> list[int]:
        """The tokens that went in at that index."""
        return [int(t) for t in self.token[self.nodes(index)]]

    def chunks(self, budget: int, first: int = 0, cells: int | None = None) -> Iterator[Chunk]:
        """Runs of at most `budget` nodes, ancestors before descendants; every node from `first` on is in exactly one.

        `cells` bounds the memory of a chunk's attention: its nodes times the columns that they attend to (a single node may have more).
        """
        if budget < 1:
            raise ValueError(f"a chunk must hold at least one token, but the budget is {budget}")
        start = first
        while start < len(self):
            path = self.path_to(start)[:-1]
            size = budget
            if cells is not None:  # the largest n with n (path + n) <= cells
                size = max(1, min(size, int((math.isqrt(len(path) ** 2 + 4 * cells) - len(path)) // 2)))
            stop = min(start + size, len(self))
            yield Chunk(start, stop, path)
            start = stop

    def attended(self, chunk: Chunk) -> int:
        """Pairs of a node of the chunk and a node that it attends to: its ancestors and itself."""
        return int((self.depth[chunk.start : chunk.stop] + 1).sum())

    def attends(self, chunk: Chunk) -> NDArray[np.bool_]:
        """Who sees whom: shape (nodes of the chunk, len(chunk.path) + nodes of the chunk), True where the row attends to the column."""
        rows = np.arange(chunk.start, chunk.stop)[:, None]
        columns = np.concatenate([chunk.path, np.arange(chunk.start, chunk.stop)])[None, :]
        seen: NDArray[np.bool_] = (columns <= rows) & (rows < self.end[columns])
        return seen


def common_prefix(sequences: Sequence[Sequence[int]]) -> int:
    """Length of what all of these sequences (lists, or tuples) begin with: the first and the last in order decide."""
    low, high = np.asarray(min(sequences, key=tuple)), np.asarray(max(sequences, key=tuple))
    return _common(low, high)


def _common(a: IntArray, b: IntArray) -> int:
    """Length of the common prefix."""
    n = min(len(a), len(b))
    different = np.flatnonzero(a[:n] != b[:n])
    return int(different[0]) if len(different) else n


def _join(parts: list[IntArray]) -> IntArray:
    return np.concatenate(parts).astype(np.int64) if parts else np.zeros(0, dtype=np.int64)
