"""Questions to a language model as rows of whole numbers, so that tasks can be stacked and mapped over (torch.func.vmap).

A row holds one example's token tree (icl/tree.py): its prompt once, and the words of all candidates as branches after it,

    tokens (T) | depths (T) | ends (T) | scored nodes (S) | scored tokens (S) | their candidates (S) | labels of the candidates (C)

T, S, C: the most that any row of the pages has; what a row lacks is filled up. A node past the tree sees itself alone, a scored token
without a candidate and a candidate without a label count nowhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from compare.training import Lesson
from compare.types import IntArray
from icl.tree import TokenTree

if TYPE_CHECKING:
    from torch import Tensor

NONE = -1


@dataclass(frozen=True)
class Layout:
    """Widths of the parts of a row."""

    tokens: int
    scored: int
    candidates: int
    labels: int
    """Labels in play."""
    longest: int
    """Tokens of the longest sequence that the model reads."""

    def cut(self, rows: Tensor) -> tuple[Tensor, ...]:
        """(n, width) → the seven parts, in the order of the module's opening."""
        widths = [*[self.tokens] * 3, *[self.scored] * 3, self.candidates]
        return rows.split(widths, dim=-1)


@dataclass(frozen=True)
class _Sheet:
    tree: TokenTree
    nodes: IntArray
    targets: IntArray
    candidates: IntArray
    labels: tuple[int, ...]


def pages(of: Sequence[Sequence[Lesson]], labels: int) -> tuple[Layout, list[IntArray]]:
    """Groups of lessons → one layout for all of them, and for each group its rows (lessons, width), int64."""
    sheets = [[_sheet(lesson) for lesson in lessons] for lessons in of]
    flat = [sheet for group in sheets for sheet in group]
    layout = Layout(
        tokens=max(len(s.tree) for s in flat),
        scored=max(len(s.nodes) for s in flat),
        candidates=max(len(s.labels) for s in flat),
        labels=labels,
        longest=max(int(s.tree.depth.max()) + 1 for s in flat),
    )
    return layout, [np.stack([_row(sheet, layout) for sheet in group]) for group in sheets]


def _sheet(lesson: Lesson) -> _Sheet:
    requests = lesson.requests
    tree = TokenTree.build([request.inputs for request in requests])
    nodes = np.concatenate([tree.tail(i, request.scored_from - 1) for i, request in enumerate(requests)])
    targets = np.concatenate([np.asarray(request.answer, dtype=np.int64) for request in requests])
    return _Sheet(tree, nodes, targets, np.repeat(np.arange(len(requests)), [len(r.answer) for r in requests]), lesson.labels)


def _row(sheet: _Sheet, layout: Layout) -> IntArray:
    size = len(sheet.tree)
    alone = np.arange(size, layout.tokens) + 1  # each its own end
    return np.concatenate(
        [
            _filled(sheet.tree.token, layout.tokens, 0),
            _filled(sheet.tree.depth, layout.tokens, 0),
            np.concatenate([sheet.tree.end, alone]),
            _filled(sheet.nodes, layout.scored, 0),
            _filled(sheet.targets, layout.scored, 0),
            _filled(sheet.candidates, layout.scored, NONE),
            _filled(np.asarray(sheet.labels, dtype=np.int64), layout.candidates, NONE),
        ]
    )


def _filled(values: IntArray, size: int, with_: int) -> IntArray:
    return np.concatenate([values, np.full(size - len(values), with_, dtype=np.int64)])
