"""TokenTree: any set of sequences goes in and comes back; nodes are distinct prefixes; chunks see exactly their ancestors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icl.tree import TokenTree

SEQUENCES = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=9), min_size=1, max_size=12)


def prefixes(sequences: list[list[int]]) -> set[tuple[int, ...]]:
    return {tuple(s[: i + 1]) for s in sequences for i in range(len(s))}


@given(SEQUENCES)
def test_sequences_come_back_and_nodes_are_distinct_prefixes(sequences: list[list[int]]) -> None:
    tree = TokenTree.build(sequences)
    assert [tree.sequence(i) for i in range(len(sequences))] == sequences
    assert len(tree) == len(prefixes(sequences))
    assert tree.total_tokens == sum(map(len, sequences))
    for i, sequence in enumerate(sequences):
        assert tree.depth[tree.nodes(i)].tolist() == list(range(len(sequence)))


@given(SEQUENCES, st.randoms())
def test_the_tree_does_not_depend_on_the_order_of_sequences(sequences: list[list[int]], random: object) -> None:
    shuffled = sorted(sequences, key=lambda s: hash((tuple(s), id(random))))
    first, second = TokenTree.build(sequences), TokenTree.build(shuffled)
    assert first.token.tolist() == second.token.tolist()
    assert first.end.tolist() == second.end.tolist()


@settings(max_examples=60)
@given(SEQUENCES, st.integers(1, 7))
def test_chunks_cover_every_node_once_and_see_exactly_their_ancestors(sequences: list[list[int]], budget: int) -> None:
    tree = TokenTree.build(sequences)
    seen: list[int] = []
    for chunk in tree.chunks(budget):
        assert chunk.stop - chunk.start <= budget
        columns = np.concatenate([chunk.path, np.arange(chunk.start, chunk.stop)])
        attends = tree.attends(chunk)
        for row, node in enumerate(range(chunk.start, chunk.stop)):
            assert columns[attends[row]].tolist() == tree.path_to(node).tolist()
        seen.extend(range(chunk.start, chunk.stop))
    assert seen == list(range(len(tree)))


def test_what_cannot_be_a_tree_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one token"):
        TokenTree.build([[1], []])
    with pytest.raises(ValueError, match="budget is 0"):
        list(TokenTree.build([[1]]).chunks(0))


@given(SEQUENCES, st.integers(1, 12), st.integers(1, 60))
def test_chunks_stay_within_both_budgets_and_cover_every_node_once(sequences: list[list[int]], budget: int, cells: int) -> None:
    tree = TokenTree.build(sequences)
    chunks = list(tree.chunks(budget, cells=cells))
    assert [node for chunk in chunks for node in range(chunk.start, chunk.stop)] == list(range(len(tree)))
    for chunk in chunks:
        size = chunk.stop - chunk.start
        assert size <= budget
        assert size == 1 or size * (len(chunk.path) + size) <= cells
        assert tree.attended(chunk) == tree.attends(chunk).sum()


@given(SEQUENCES, st.data())
def test_the_tail_of_a_sequence_is_the_end_of_its_nodes(sequences: list[list[int]], data: st.DataObject) -> None:
    tree = TokenTree.build(sequences)
    i = data.draw(st.integers(0, len(sequences) - 1))
    start = data.draw(st.integers(0, len(sequences[i])))
    assert tree.tail(i, start).tolist() == tree.nodes(i)[start:].tolist()
