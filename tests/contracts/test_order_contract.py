"""What every order must do: a permutation, reproducible anywhere, blind to the query's answer, unbothered by odd demonstrations."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from test_selector_contract import embed, means, pool, vectors
from typer.main import get_command

from icl.cli.app import app
from icl.ordering import ORDERS, Pool, check_order, make_order
from icl.ordering.probing import ProbingOrder, global_entropy, likelihood, local_entropy
from tasks import Example, IclError, Query, keyed_rng


def arranged(name: str, shown: Sequence[Example], query: int = 0) -> list[int]:
    order = make_order(name, means(embed))
    asked = Query(f"q{query}", {"text": f"good film {query} warm"})
    return order.arrange(
        shown,
        Pool(pool(), ("neg", "pos")),
        asked if order.per_query else None,
        keyed_rng(0, "order", "e000", asked.id if order.per_query else ""),
    )


@pytest.mark.parametrize("name", ORDERS)
@pytest.mark.parametrize("k", [0, 1, 2, 5, 9])
def test_a_permutation(name: str, k: int) -> None:
    if name == "exhaustive" and k > 5:
        with pytest.raises(IclError, match="shots <= 5 must hold, but got 9"):
            arranged(name, pool(k))
        return
    assert sorted(arranged(name, pool(k))) == list(range(k))


@pytest.mark.parametrize("name", ORDERS)
def test_another_order_of_queries_changes_nothing(name: str) -> None:
    forwards = {q: arranged(name, pool(5), q) for q in range(6)}
    assert forwards == {q: arranged(name, pool(5), q) for q in reversed(range(6))}


@pytest.mark.parametrize("name", ORDERS)
def test_another_process_arranges_the_same(name: str) -> None:
    here = str(Path(__file__).parent)
    code = f"import sys; sys.path[:0] = [{here!r}]; import test_order_contract as t; print(t.arranged({name!r}, t.pool(5)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(arranged(name, pool(5)))


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
    assert make_order("similarity-ascending", means(by)).arrange(shown, Pool(shown, ()), query, rng) == [2, 0, 1]
    assert make_order("similarity-descending", means(by)).arrange(shown, Pool(shown, ()), query, rng) == [1, 0, 2]


def test_labels_take_turns_by_hand() -> None:
    shown = [Example(str(i), {"text": "x"}, target) for i, target in enumerate("aabacb")]
    assert arranged("label-alternating", shown) == [0, 2, 4, 1, 5, 3]


class Recency:
    """A made-up model that answers 0.9 with the label of the last demonstration, 0.6 where the first is an 'a'."""

    def answers(self, labels: Sequence[str], queries: Sequence[Query], contexts: Sequence[Sequence[Example]]) -> NDArray[np.float64]:
        out = np.empty((len(contexts), len(queries), 2))
        for c, shown in enumerate(contexts):
            p = 0.6 if shown[0].id == "a" else 0.9
            out[c] = np.log([1 - p, p] if shown[-1].target == "pos" else [p, 1 - p])
            if shown[1].id == "c":  # then the first probe gets the other label
                out[c, 0] = out[c, 0, ::-1]
        return out

    def surprise(self, labels: Sequence[str], queries: Sequence[Query]) -> NDArray[np.float64]:
        raise AssertionError("no order asks for this")


@pytest.mark.parametrize(
    ("merit", "first"),
    [
        (global_entropy, ("a", "c", "b")),  # two of three probes get one label; elsewhere all get the same
        (local_entropy, ("a", "b", "c")),  # 0.6 against 0.4 is less sure than 0.9 against 0.1
        (likelihood, ("b", "a", "c")),  # all probes are 'pos', and so is c alone
    ],
)
def test_probing_by_hand(merit: object, first: tuple[str, ...]) -> None:
    shown = [Example(id, {"text": id}, target) for id, target in (("a", "neg"), ("b", "neg"), ("c", "pos"))]
    probes = [Example(f"p{i}", {"text": "x"}, "pos") for i in range(3)]
    order = ProbingOrder("probing", Recency(), merit)
    places = order.arrange(shown, Pool([*shown, *probes], ("neg", "pos")), None, np.random.default_rng(0))
    assert tuple(shown[i].id for i in places) == first
    with pytest.raises(IclError, match="examples of the pool that are not shown, but all 3 are"):
        order.arrange(shown, Pool(shown, ("neg", "pos")), None, np.random.default_rng(0))


def test_mistakes_and_help() -> None:
    with pytest.raises(IclError, match="unknown order 'randm': did you mean random"):
        check_order("randm")
    with pytest.raises(IclError, match="needs a task with labels or choices"):
        check_order("label-alternating", "generation")
    options = {option.name: option.help for option in get_command(app).commands["evaluate"].params}
    assert all(name in options["order"] for name in ORDERS)
