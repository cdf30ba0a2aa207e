"""What every selector must do: exactly k or an error, reproducible anywhere, blind to the query's answer, unbothered by odd pools."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.main import get_command

from icl.cli.app import app
from icl.selection import SELECTORS, Embed, Means, make_selector
from icl.selection.condacc import conditional_mean
from icl.selection.kcenter import farthest_first
from icl.selection.votek import VoteKSelector
from tasks import Example, IclError, Query, keyed_rng

WORDS = ["good", "bad", "film", "plot", "cast", "fine", "dull", "sharp", "slow", "warm", "cold", "bright"]


def embed(texts: Sequence[str]) -> NDArray[np.float32]:
    """A fixed bag-of-words embedding: 16 dimensions, deterministic in every process."""
    out = np.zeros((len(texts), 16), dtype=np.float32)
    for i, text in enumerate(texts):
        for word in text.split():
            out[i, hashlib.sha256(word.encode()).digest()[0] % 16] += 1
    return out


class WordJudge:
    """A made-up model: it is surer the more words demonstrations share with the query, and surprised by long words."""

    def answers(self, labels: Sequence[str], queries: Sequence[Query], contexts: Sequence[Sequence[Example]]) -> NDArray[np.float64]:
        words = [set(query.inputs["text"].split()) for query in queries]
        shared = np.array([[sum(len(of & set(e.inputs["text"].split())) for e in shown) for of in words] for shown in contexts])
        sure = 1 / (1 + np.exp(-0.1 * shared))
        return np.log(np.stack([sure, 1 - sure], axis=2))

    def likelihood(self, labels: Sequence[str], examples: Sequence[Example], contexts: Sequence[Sequence[Example]]) -> NDArray[np.float64]:
        return self.answers(labels, [example.query() for example in examples], contexts)[:, :, 0]

    def surprise(self, labels: Sequence[str], queries: Sequence[Query]) -> NDArray[np.float64]:
        return np.array([max(map(len, query.inputs["text"].split()), default=0) for query in queries], dtype=np.float64)


def means(embed: Embed) -> Means:
    """That embedder and the made-up model."""
    return Means(embed, WordJudge())


def pool(n: int = 40, labels: Sequence[str] = ("neg", "pos")) -> list[Example]:
    rng = np.random.default_rng(3)
    return [Example(f"x{i}", {"text": " ".join(rng.choice(WORDS, 5)) + f" {i}"}, labels[int(rng.integers(len(labels)))]) for i in range(n)]


def chosen(name: str, k: int, query: int = 0, support: list[Example] | None = None, labels: Sequence[str] = ("neg", "pos")) -> list[int]:
    support = support if support is not None else pool()
    selector = make_selector(name, means(embed))
    asked = Query(f"q{query}", {"text": f"good film {query} warm"})
    rng = keyed_rng(0, "select", "e000", asked.id if selector.per_query else "")
    return selector.over(support, labels).choose(asked if selector.per_query else None, k, rng)


@pytest.mark.parametrize("name", SELECTORS)
@pytest.mark.parametrize("k", [0, 1, 7, 40])
def test_exactly_k_different_examples_or_an_error(name: str, k: int) -> None:
    support = pool()
    if (name == "balanced" or name.endswith("-stratified")) and k == 40:  # as many of each label as there are is not half of all
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


def vectors(table: dict[str, Sequence[float]]) -> Embed:
    """An embedder with these vectors."""
    return lambda texts: np.array([table[text] for text in texts], dtype=np.float32)


def of_vectors(
    name: str, rows: Sequence[Sequence[float]], query: Sequence[float], k: int, rng: np.random.Generator | None = None
) -> list[int]:
    """What a selector picks from a pool whose i-th text has the i-th vector."""
    selector = make_selector(name, means(vectors({"query": query, **{f"t{i}": row for i, row in enumerate(rows)}})))
    support = [Example(f"x{i}", {"text": f"t{i}"}, "pos") for i in range(len(rows))]
    asked = Query("q", {"text": "query"}) if selector.per_query else None
    return selector.over(support, ("pos",)).choose(asked, k, rng or np.random.default_rng(0))


def test_golden_mmr() -> None:
    """By hand, on four vectors of which the first two are the same."""
    rows = [(0.8, 0.6), (0.8, 0.6), (0.6, -0.8), (0, 1)]
    # after 0: 1 → .5 * .8 - .5 * 1 = -.1;  2 → .5 * .6 - .5 * (.48 - .48) = .3;  3 → 0 - .5 * .6 = -.3
    # after 2: 1 → -.1;  3 → 0 - .5 * max(.6, -.8) = -.3
    assert of_vectors("mmr", rows, (1, 0), 3) == [1, 2, 0]


def test_golden_dpp_takes_the_largest_determinant_step_by_step() -> None:
    """Against determinants of the whole kernel, one for every candidate of every step."""
    rng = np.random.default_rng(5)
    rows, query = np.repeat(rng.normal(size=(3, 12)), 3, axis=0) + 0.1 * rng.normal(size=(9, 12)), rng.normal(size=12)
    unit_rows, unit_query = rows / np.linalg.norm(rows, axis=1, keepdims=True), query / np.linalg.norm(query)
    relevance = np.exp((1 + unit_rows @ unit_query) / 2 / (2 * 0.1))
    kernel = relevance[:, None] * (1 + unit_rows @ unit_rows.T) / 2 * relevance
    expected: list[int] = []
    for _ in range(6):
        rest = [i for i in range(9) if i not in expected]
        expected.append(max(rest, key=lambda i: np.linalg.slogdet(kernel[np.ix_([*expected, i], [*expected, i])])[1]))
    assert of_vectors("dpp", rows.tolist(), query.tolist(), 6)[::-1] == expected
    assert expected != np.argsort(-relevance)[:6].tolist()


def test_dpp_leaves_out_doubles_until_nothing_else_is_left() -> None:
    assert of_vectors("dpp", [(1, 0), (1, 0), (0, 1), (0.6, 0.8)], (1, 0), 4)[::-1][-1] == 1


def test_golden_votek() -> None:
    """Against the formula written with sets, for two neighbours of each of twelve examples."""
    rng = np.random.default_rng(6)
    rows = rng.normal(size=(12, 4)).astype(np.float32)
    unit_rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    votes = {v: set(sorted((u for u in range(12) if u != v), key=lambda u: -float(unit_rows[v] @ unit_rows[u]))[:2]) for v in range(12)}
    expected: list[int] = []
    for _ in range(5):
        rest = [u for u in range(12) if u not in expected]
        expected.append(max(rest, key=lambda u: sum(10.0 ** -len(votes[v] & set(expected)) for v in rest if u in votes[v])))
    support = [Example(f"x{i}", {"text": f"t{i}"}, "pos") for i in range(12)]
    embed = vectors({f"t{i}": row.tolist() for i, row in enumerate(rows)})
    assert VoteKSelector(embed, neighbours=2).over(support, ()).choose(None, 5, np.random.default_rng(0)) == expected


def test_golden_k_center() -> None:
    """By hand, points on the circle at 0, 10, 180 and 90 degrees: farthest first from 0 is 180, 90, 10."""
    points = [(np.cos(a), np.sin(a)) for a in np.radians([0, 10, 180, 90])]
    assert farthest_first(np.array(points, dtype=np.float32), 4, first=0) == [0, 2, 3, 1]


def test_golden_set_coverage() -> None:
    """By hand: 'a b' covers two of three words, 'c' the third; 'a' adds nothing and begins the next round only."""
    embed = vectors({"a": (1, 0, 0), "b": (0, 1, 0), "c": (0, 0, 1)})
    support = [Example(f"x{i}", {"text": text}, "pos") for i, text in enumerate(["a", "a b", "c"])]
    choose = make_selector("set-coverage", means(embed)).over(support, ()).choose
    assert choose(Query("q", {"text": "a b c"}), 2, np.random.default_rng(0)) == [2, 1]
    assert choose(Query("q", {"text": "a b c"}), 3, np.random.default_rng(0)) == [2, 0, 1]


def test_lowest_perplexity_by_hand() -> None:
    support = [Example(f"x{i}", {"text": text}, "pos") for i, text in enumerate(["brightest film", "a film", "an", "bad"])]
    assert chosen("perplexity", 3, support=support) == [1, 3, 2]


def test_mdl_takes_the_surest_of_the_sets_that_it_drew() -> None:
    """The same draws made again, their entropies written out."""
    support, query = pool(), Query("q", {"text": "good film warm"})
    rng = np.random.default_rng(4)
    near = make_selector("knn", means(embed)).over(support, ()).choose(query, 30, rng)
    sets = [[near[int(i)] for i in rng.choice(30, size=4, replace=False)] for _ in range(10)]
    distributions = np.exp(WordJudge().answers((), [query], [[support[i] for i in places] for places in sets]))[:, 0]
    entropies = [-sum(p * np.log(p) for p in row) for row in distributions]
    picked = make_selector("mdl", means(embed)).over(support, ()).choose(query, 4, np.random.default_rng(4))
    assert picked == sets[int(np.argmin(entropies))]
    assert len(set(entropies)) > 1


def test_conditional_accuracy_by_hand() -> None:
    """Three prompts of four candidates: 0 stands in the first two, 1 in the first, 2 in the last two, 3 in none."""
    found = conditional_mean(np.array([0.2, 0.6, 1.0]), [[0, 1], [2, 0], [2]], 4)
    np.testing.assert_allclose(found, [0.4, 0.2, 0.8, 0.6])


def test_condacc_finds_the_examples_that_help() -> None:
    class Helped(WordJudge):
        def answers(self, labels: Sequence[str], queries: Sequence[Query], contexts: Sequence[Sequence[Example]]) -> NDArray[np.float64]:
            """Right about 'pos' for the first so many queries as good examples are shown."""
            assert all(query.id not in {e.id for e in shown} for shown in contexts for query in queries), "held out"
            helped = np.array([[q < 4 * sum("!" in e.inputs["text"] for e in shown) for q in range(len(queries))] for shown in contexts])
            return np.log(np.where(helped[:, :, None], [0.1, 0.9], [0.9, 0.1]))

    support = [Example(f"x{i}", {"text": "!" if i % 4 == 0 else "."}, "pos") for i in range(40)]
    selector = make_selector("condacc", Means(embed, Helped()))
    picked = selector.over(support, ("neg", "pos")).choose(None, 3, np.random.default_rng(1))
    assert all(i % 4 == 0 for i in picked)
    with pytest.raises(IclError, match="needs a task with labels or lettered choices"):
        selector.over([Example(f"x{i}", {"text": "."}, "went") for i in range(9)], ()).choose(None, 3, np.random.default_rng(1))


def test_epr_takes_what_helps_the_neighbours_of_the_query() -> None:
    """By hand: 'a' and 'b' are the best matches, 'c' matches less but helps both of them, 'd' does not match at all."""
    texts = {"a": "warm film", "b": "warm film too", "c": "warm", "d": "cold"}
    helps = {("a", "b"): -3.0, ("b", "a"): -2.0, ("c", "a"): -1.0, ("c", "b"): -1.5}

    class Helped(WordJudge):
        def likelihood(
            self, labels: Sequence[str], examples: Sequence[Example], contexts: Sequence[Sequence[Example]]
        ) -> NDArray[np.float64]:
            return np.array(
                [[helps.get((shown[0].id, of.id), -9.0 if shown[0].id != of.id else 0.0) for of in examples] for shown in contexts]
            )

    support = [Example(name, {"text": text}, "pos") for name, text in texts.items()]
    selector = make_selector("epr", Means(embed, Helped()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("icl.selection.epr.PROXIES", 2)
        assert selector.over(support, ()).choose(Query("q", {"text": "warm film"}), 3, np.random.default_rng(0)) == [0, 1, 2]
    assert make_selector("epr", means(embed)).over(support[:1], ()).choose(Query("q", {"text": "warm"}), 1, np.random.default_rng(0)) == [0]


@pytest.mark.parametrize("name", ["bm25-stratified", "knn-stratified"])
def test_stratified_takes_the_best_of_every_label(name: str) -> None:
    texts = ["warm good film", "warm film", "film", "plot good", "plot", "dull"]
    support = [Example(f"x{i}", {"text": text}, "pos" if i < 4 else "neg") for i, text in enumerate(texts)]
    selector = make_selector(name, means(embed)).over(support, ("neg", "pos"))
    query = Query("q", {"text": "warm good film plot"})
    ranking = make_selector(name.removesuffix("-stratified"), means(embed)).over(support, ()).choose(query, 6, np.random.default_rng(0))
    best = [i for i in ranking if i < 4][-2:]
    assert selector.choose(query, 4, np.random.default_rng(0)) == [i for i in ranking if i in {*best, 4, 5}]
    assert sum(i >= 4 for i in selector.choose(query, 3, np.random.default_rng(0))) == 1
    with pytest.raises(IclError, match="3 or more examples of every label for 6 shots, but the pool has 2 of 'neg'"):
        selector.choose(query, 6, np.random.default_rng(0))
    with pytest.raises(IclError, match="needs a task with labels"):
        make_selector(name, means(embed)).over(support, ())


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
        make_selector("balancd", means(embed))


def test_the_help_names_every_selector() -> None:
    options = {option.name: option.help for option in get_command(app).commands["evaluate"].params}
    assert options["selector"].startswith(", ".join(SELECTORS))
