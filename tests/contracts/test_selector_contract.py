"""What every selector must do: exactly k or an error, reproducible anywhere, blind to the query's answer, unbothered by odd pools."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from icl.selection import SELECTORS, make_selector
from tasks import Example, IclError, Query, keyed_rng

WORDS = ["good", "bad", "film", "plot", "cast", "fine", "dull", "sharp", "slow", "warm", "cold", "bright"]


def embed(texts: Sequence[str]) -> NDArray[np.float32]:
    """A fixed bag-of-words embedding: 16 dimensions, deterministic in every process."""
    out = np.zeros((len(texts), 16), dtype=np.float32)
    for i, text in enumerate(texts):
        for word in text.split():
            out[i, hashlib.sha256(word.encode()).digest()[0] % 16] += 1
    return out


def pool(n: int = 40, labels: Sequence[str] = ("neg", "pos")) -> list[Example]:
    rng = np.random.default_rng(3)
    return [Example(f"x{i}", {"text": " ".join(rng.choice(WORDS, 5)) + f" {i}"}, labels[int(rng.integers(len(labels)))]) for i in range(n)]


def chosen(name: str, k: int, query: int = 0, support: list[Example] | None = None, labels: Sequence[str] = ("neg", "pos")) -> list[int]:
    support = support if support is not None else pool()
    selector = make_selector(name, embed)
    asked = Query(f"q{query}", {"text": f"good film {query} warm"})
    rng = keyed_rng(0, "select", "e000", asked.id if selector.per_query else "")
    return selector.over(support, labels).choose(asked if selector.per_query else None, k, rng)


@pytest.mark.parametrize("name", SELECTORS)
@pytest.mark.parametrize("k", [0, 1, 7, 40])
def test_exactly_k_different_examples_or_an_error(name: str, k: int) -> None:
    support = pool()
    if name == "balanced" and k == 40:  # as many of each label as there are is not half of all
        support = [Example(e.id, e.inputs, ("neg", "pos")[i % 2]) for i, e in enumerate(support)]
    picked = chosen(name, k, support=support)
    assert len(picked) == len(set(picked)) == k
    assert all(0 <= i < len(support) for i in picked)


@pytest.mark.parametrize("name", SELECTORS)
def test_more_than_there_is_is_an_error(name: str) -> None:
    with pytest.raises(IclError, match="41"):
        chosen(name, 41)


@pytest.mark.parametrize("name", SELECTORS)
def test_another_order_of_queries_changes_nothing(name: str) -> None:
    forwards = {q: chosen(name, 5, q) for q in range(6)}
    backwards = {q: chosen(name, 5, q) for q in reversed(range(6))}
    assert forwards == backwards


@pytest.mark.parametrize("name", SELECTORS)
def test_another_process_chooses_the_same(name: str) -> None:
    code = f"import sys; sys.path[:0] = {[str(__import__('pathlib').Path(__file__).parent)]!r}; import test_selector_contract as t; print(t.chosen({name!r}, 6))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(chosen(name, 6))


@pytest.mark.parametrize("name", SELECTORS)
@pytest.mark.parametrize(
    "support",
    [
        [Example(f"x{i}", {"text": "the same"}, "pos") for i in range(6)],
        [Example(f"x{i}", {"text": ""}, "pos") for i in range(6)],
        [Example(f"x{i}", {"text": "喜 🙂 ñ " + str(i)}, "pos") for i in range(6)],
    ],
    ids=["ties", "empty", "unicode"],
)
def test_odd_pools_of_one_class(name: str, support: list[Example]) -> None:
    assert len(set(chosen(name, 3, support=support, labels=("pos",)))) == 3


def test_balanced_counts() -> None:
    support = pool(60, ("a", "b", "c"))
    targets = [support[i].target for i in chosen("balanced", 7, support=support, labels=("a", "b", "c"))]
    assert sorted(targets.count(label) for label in "abc") == [2, 2, 3]
    with pytest.raises(IclError, match="needs a task with labels"):
        chosen("balanced", 2, labels=())
    with pytest.raises(IclError, match="needs 2 examples of 'b'"):
        chosen("balanced", 4, support=[Example("1", {"text": "x"}, "b"), *pool(9, ("a",))], labels=("a", "b"))


def test_fixed_takes_the_first_or_the_named() -> None:
    assert chosen("fixed", 3) == [0, 1, 2]
    assert chosen("fixed:x5,x2", 2) == [5, 2]
    with pytest.raises(IclError, match="unknown example in the support pool 'x99'"):
        chosen("fixed:x99", 1)


def test_retrieval_puts_the_best_match_last() -> None:
    support = [
        Example("a", {"text": "warm film"}, "pos"),
        Example("b", {"text": "cold plot"}, "neg"),
        Example("c", {"text": "warm good film"}, "pos"),
    ]
    assert chosen("bm25", 2, support=support) == [0, 2]
    assert chosen("knn", 3, support=support) == [1, 0, 2]


def test_golden_bm25_scores() -> None:
    """Two documents, worked out by hand from the formula in icl/selection/bm25.py (Lucene's idf: log(1 + (N - n + .5) / (n + .5)))."""
    import bm25s

    index = bm25s.BM25(k1=1.5, b=0.75)
    index.index([["warm", "film"], ["cold"]], show_progress=False)
    idf = np.log(1 + (2 - 1 + 0.5) / (1 + 0.5))
    expected = idf * 1 / (1 + 1.5 * (1 - 0.75 + 0.75 * 2 / 1.5))
    np.testing.assert_allclose(index.get_scores(["warm"]), [expected, 0], rtol=1e-6)


def test_unknown_selectors_suggest_the_nearest() -> None:
    with pytest.raises(IclError, match="did you mean balanced"):
        make_selector("balancd", embed)
