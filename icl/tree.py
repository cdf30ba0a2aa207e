"""TokenTree: all token sequences of a batch of prompts, shared prefixes stored once.

Nodes are numbered in depth-first order over the lexicographically sorted sequences, so the tree is a pure function of the *set* of
sequences, and one array says everything about ancestry: with `end[v]` the end of v's subtree, u is an ancestor of v (or v itself)
exactly when `u <= v < end[u]`. A chunk is a run of consecutive nodes; whatever its nodes need from before the chunk lies on the single
path from the root to the chunk's first node (a node before the chunk whose subtree reaches into it contains that first node).
No torch here: the tree is data.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]


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
    def build(cls, sequences: Sequence[Sequence[int]]) -> TokenTree:
        """The tree of these sequences (each of at least one token). Raises ValueError for an empty sequence."""
        arrays = [np.asarray(sequence, dtype=np.int64) for sequence in sequences]
        if any(len(array) == 0 for array in arrays):
            raise ValueError("a sequence must have at least one token, but one has none")
        # Big-endian bytes sort like the numbers, and a prefix sorts before what it begins.
        order = sorted(range(len(arrays)), key=lambda i: arrays[i].astype(">u4").tobytes())
        token: list[IntArray] = []
        parent: list[IntArray] = []
        depth: list[IntArray] = []
        leaf = np.zeros(len(arrays), dtype=np.int64)
        path = np.zeros(max((len(a) for a in arrays), default=0), dtype=np.int64)
        previous = np.zeros(0, dtype=np.int64)
        count = 0
        for i in order:
            array = arrays[i]
            shared = _common(previous, array)
            fresh = len(array) - shared
            if fresh:
                path[shared : len(array)] = np.arange(count, count + fresh)
                first = path[shared - 1] if shared else -1
                parent.append(np.concatenate([[first], path[shared : len(array) - 1]]))
                depth.append(np.arange(shared, len(array)))
                token.append(array[shared:])
                count += fresh
            leaf[i] = path[len(array) - 1]
            previous = array
        parents = _join(parent)
        return cls(_join(token), _join(depth), parents, _subtree_ends(parents), leaf, sum(len(a) for a in arrays))

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

    def sequence(self, index: int) -> list[int]:
        """The tokens that went in at that index."""
        return [int(t) for t in self.token[self.nodes(index)]]

    def chunks(self, budget: int) -> Iterator[Chunk]:
        """Runs of at most `budget` nodes, ancestors before descendants; every node is in exactly one."""
        if budget < 1:
            raise ValueError(f"a chunk must hold at least one token, but the budget is {budget}")
        for start in range(0, len(self), budget):
            yield Chunk(start, min(start + budget, len(self)), self.path_to(start)[:-1])

    def attends(self, chunk: Chunk) -> NDArray[np.bool_]:
        """Who sees whom: shape (nodes of the chunk, len(chunk.path) + nodes of the chunk), True where the row attends to the column."""
        rows = np.arange(chunk.start, chunk.stop)[:, None]
        columns = np.concatenate([chunk.path, np.arange(chunk.start, chunk.stop)])[None, :]
        seen: NDArray[np.bool_] = (columns <= rows) & (rows < self.end[columns])
        return seen


def _common(a: IntArray, b: IntArray) -> int:
    """Length of the common prefix."""
    n = min(len(a), len(b))
    different = np.flatnonzero(a[:n] != b[:n])
    return int(different[0]) if len(different) else n


def _join(parts: list[IntArray]) -> IntArray:
    return np.concatenate(parts).astype(np.int64) if parts else np.zeros(0, dtype=np.int64)


def _subtree_ends(parent: IntArray) -> IntArray:
    """Children come after their parents, so one pass from the back carries each subtree's end up."""
    end = np.arange(1, len(parent) + 1)
    for node in range(len(parent) - 1, -1, -1):
        above = parent[node]
        if above >= 0 and end[node] > end[above]:
            end[above] = end[node]
    return end
