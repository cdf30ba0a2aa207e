"""Questions to a language model as rows of whole numbers, so that tasks can be stacked and mapped over (torch.func.vmap).

An example is a token tree (icl/tree.py): its prompt once, and the words of all candidates as branches after it. As many examples as fit
stand behind each other in a row, which is as long as the longest of them; a mask of ancestors keeps them apart, so little is filled up.

    tokens (T) | depths (T) | ends (T) | scored nodes (S) | scored tokens (S) | their candidates (S) | outputs of the candidates (C)
    right labels (E) | examples of the group | rows of the group

T, S, C, E: the most that any row has. A candidate's output is its example's place in the row times the number of labels, plus its label.
What a row lacks is filled up: a node past the trees sees itself alone, a place without an example has no right label, and a scored token
without a candidate and a candidate without an output count nowhere.
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
    examples: int
    labels: int
    """Labels in play."""
    longest: int
    """Tokens of the longest sequence that the model reads."""

    def cut(self, rows: Tensor) -> tuple[Tensor, ...]:
        """(n, width) → the seven parts of the first line, in the order of the module's opening."""
        import torch

        return tuple(torch.split(rows, [*[self.tokens] * 3, *[self.scored] * 3, self.candidates], dim=-1))


@dataclass(frozen=True)
class _Sheet:
    """One example."""

    tree: TokenTree
    nodes: IntArray
    targets: IntArray
    candidates: IntArray
    labels: IntArray
    right: int


def pages(of: Sequence[Sequence[Lesson]], labels: int, columns: int = 1) -> tuple[Layout, list[tuple[IntArray, IntArray]]]:
    """Groups of lessons → one layout for all of them, and for each group its rows (rows, width) and answers (rows, E + 2), int64.

    Every `columns`-th group (the supports, or the queries, of several tasks) gets as many rows, so that these can be stacked.
    """
    sheets = [[_sheet(lesson) for lesson in lessons] for lessons in of]
    widest = max(len(sheet.tree) for group in sheets for sheet in group)
    packed = [_packed(group, widest) for group in sheets]
    rows = [row for group in packed for row in group]
    layout = Layout(
        tokens=widest,
        scored=max(sum(len(s.nodes) for s in row) for row in rows),
        candidates=max(sum(len(s.labels) for s in row) for row in rows),
        examples=max(map(len, rows)),
        labels=labels,
        longest=max(int(s.tree.depth.max()) + 1 for row in rows for s in row),
    )
    out = []
    for i, group in enumerate(packed):
        most = max(map(len, packed[i % columns :: columns]))
        filled = [*group, *[[] for _ in range(most - len(group))]]
        answers = [_filled(np.array([s.right for s in row], dtype=np.int64), layout.examples, NONE) for row in filled]
        counts = [np.array([sum(map(len, group)), most])] * most
        out.append((np.stack([_row(row, layout) for row in filled]), np.concatenate([np.stack(answers), np.stack(counts)], axis=1)))
    return layout, out


def _packed(sheets: Sequence[_Sheet], width: int) -> list[list[_Sheet]]:
    """Into few rows: the longest first, each into the first row that has room."""
    rows: list[list[_Sheet]] = []
    for sheet in sorted(sheets, key=lambda s: -len(s.tree)):
        room = (row for row in rows if sum(len(s.tree) for s in row) + len(sheet.tree) <= width)
        if (row := next(room, None)) is None:
            rows.append([sheet])
        else:
            row.append(sheet)
    return rows


def _sheet(lesson: Lesson) -> _Sheet:
    requests = lesson.requests
    tree = TokenTree.build([request.inputs for request in requests])
    nodes = np.concatenate([tree.tail(i, request.scored_from - 1) for i, request in enumerate(requests)])
    targets = np.concatenate([np.asarray(request.answer, dtype=np.int64) for request in requests])
    candidates = np.repeat(np.arange(len(requests)), [len(r.answer) for r in requests])
    return _Sheet(tree, nodes, targets, candidates, np.asarray(lesson.labels, dtype=np.int64), lesson.target)


def _row(sheets: Sequence[_Sheet], layout: Layout) -> IntArray:
    """The first line of the module's opening."""
    sizes = [len(sheet.tree) for sheet in sheets]
    first = np.cumsum([0, *sizes])
    before = np.cumsum([0, *(len(sheet.labels) for sheet in sheets)])
    number = range(len(sheets))
    return np.concatenate(
        [
            _filled(_joined([s.tree.token for s in sheets]), layout.tokens, 0),
            _filled(_joined([s.tree.depth for s in sheets]), layout.tokens, 0),
            _joined([sheets[i].tree.end + first[i] for i in number]),
            np.arange(first[-1], layout.tokens) + 1,  # each its own end
            _filled(_joined([sheets[i].nodes + first[i] for i in number]), layout.scored, 0),
            _filled(_joined([s.targets for s in sheets]), layout.scored, 0),
            _filled(_joined([sheets[i].candidates + before[i] for i in number]), layout.scored, NONE),
            _filled(_joined([sheets[i].labels + i * layout.labels for i in number]), layout.candidates, NONE),
        ]
    )


def _joined(parts: Sequence[IntArray]) -> IntArray:
    return np.concatenate([np.zeros(0, dtype=np.int64), *parts])


def _filled(values: IntArray, size: int, with_: int) -> IntArray:
    return np.concatenate([values, np.full(size - len(values), with_, dtype=np.int64)])
