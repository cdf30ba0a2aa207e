"""What every order must do: a permutation, reproducible anywhere, blind to the query's answer, unbothered by odd demonstrations."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from test_selector_contract import embed, pool, vectors
from typer.main import get_command

from icl.cli.app import app
from icl.ordering import ORDERS, check_order, make_order
from tasks import Example, IclError, Query, keyed_rng


def arranged(name: str, shown: Sequence[Example], query: int = 0) -> list[int]:
    order = make_order(name, embed)
    asked = Query(f"q{query}", {"text": f"good film {query} warm"})
    return order.arrange(shown, asked if order.per_query else None, keyed_rng(0, "order", "e000", asked.id if order.per_query else ""))


@pytest.mark.parametrize("name", ORDERS)
@pytest.mark.parametrize("k", [0, 1, 2, 9])
def test_a_permutation(name: str, k: int) -> None:
    assert sorted(arranged(name, pool(k))) == list(range(k))


@pytest.mark.parametrize("name", ORDERS)
def test_another_order_of_queries_changes_nothing(name: str) -> None:
    forwards = {q: arranged(name, pool(7), q) for q in range(6)}
    assert forwards == {q: arranged(name, pool(7), q) for q in reversed(range(6))}


@pytest.mark.parametrize("name", ORDERS)
def test_another_process_arranges_the_same(name: str) -> None:
    here = str(Path(__file__).parent)
    code = f"import sys; sys.path[:0] = [{here!r}]; import test_order_contract as t; print(t.arranged({name!r}, t.pool(6)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(arranged(name, pool(6)))


@pytest.mark.parametrize("name", ORDERS)
@pytest.mark.parametrize("text", ["the same", "", "喜 🙂 ñ"], ids=["ties", "empty", "unicode"])
def test_odd_demonstrations_of_one_class(name: str, text: str) -> None:
    shown = [Example(f"x{i}", {"text": text}, "pos") for i in range(5)]
    assert sorted(arranged(name, shown)) == list(range(5))
    if name != "random":
        assert arranged(name, shown) == list(range(5)), "ties keep the order given"


def test_similarity_by_hand() -> None:
    by = vectors({"query": (1, 0), "a": (0.6, 0.8), "b": (1, 0), "c": (-1, 0)})
    shown, query = [Example(t, {"text": t}, "pos") for t in "abc"], Query("q", {"text": "query"})
    rng = np.random.default_rng(0)
    assert make_order("similarity-ascending", by).arrange(shown, query, rng) == [2, 0, 1]
    assert make_order("similarity-descending", by).arrange(shown, query, rng) == [1, 0, 2]


def test_labels_take_turns_by_hand() -> None:
    shown = [Example(str(i), {"text": "x"}, target) for i, target in enumerate("aabacb")]
    assert arranged("label-alternating", shown) == [0, 2, 4, 1, 5, 3]


def test_mistakes_and_help() -> None:
    with pytest.raises(IclError, match="unknown order 'randm': did you mean random"):
        check_order("randm")
    with pytest.raises(IclError, match="needs a task with labels or choices"):
        check_order("label-alternating", "generation")
    options = {option.name: option.help for option in get_command(app).commands["evaluate"].params}
    assert all(name in options["order"] for name in ORDERS)
