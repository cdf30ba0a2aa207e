"""The score store: nothing is computed twice, nothing is kept by halves, and damage is said."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import icl
from icl.cost import Clock
from icl.engine.store import Identity, ScoreStore, StoredEngine, store_path
from icl.engine.types import Pooling, Progress, ScoreRequest, Work, silent
from tasks import IclError

WHO = Identity("model", "float32", "cpu", "hf tree", "1")


class Counting:
    """An engine whose scores are a function of the tokens, and which remembers what it was asked."""

    def __init__(self) -> None:
        self.work = Work()
        self.asked: list[int] = []

    def score(self, requests: Sequence[ScoreRequest], progress: Progress) -> list[NDArray[np.float64]]:
        self.asked.append(len(requests))
        return [np.array(r.token_ids[r.scored_from :], dtype=np.float64) / 7 for r in requests]

    def generate(self, prompts: Sequence[Sequence[int]], max_new_tokens: int, stop: Sequence[str], progress: Progress) -> list[str]:
        self.asked.append(len(prompts))
        return [f"é{sum(p)} {max_new_tokens}" for p in prompts]

    def embed(self, sequences: Sequence[Sequence[int]], progress: Progress, pool: Pooling = "mean") -> NDArray[np.float32]:
        self.asked.append(len(sequences))
        return np.array([[sum(s), len(s) + (pool == "last")] for s in sequences], dtype=np.float32)

    def distributions(self, sequences: Sequence[Sequence[int]], progress: Progress) -> NDArray[np.float32]:
        self.asked.append(len(sequences))
        return np.array([[len(s)] for s in sequences], dtype=np.float32)

    def last_states(self, sequences: Sequence[Sequence[int]], progress: Progress) -> NDArray[np.float32]:
        self.asked.append(len(sequences))
        return np.array([[s[-1]] for s in sequences], dtype=np.float32)


def engine(path: Path, who: Identity = WHO) -> StoredEngine:
    return StoredEngine(Counting(), ScoreStore(path), who, Clock())


REQUESTS = [
    ScoreRequest.whole((1, 2, 3), 1),
    ScoreRequest.whole((1, 2, 3), 2),
    ScoreRequest.whole((1, 2, 3), 1),
    ScoreRequest.whole((4, 5), 1),
]


def asked(stored: StoredEngine) -> list[int]:
    inner = stored.inner
    assert isinstance(inner, Counting)
    return inner.asked


def test_equal_requests_are_computed_once_and_later_not_at_all(tmp_path: Path) -> None:
    first = engine(tmp_path / "s.sqlite")
    values = first.score(REQUESTS, silent)
    assert asked(first) == [3], "one of four stands twice"
    again = engine(tmp_path / "s.sqlite")
    for a, b in zip(values, again.score(REQUESTS, silent), strict=True):
        np.testing.assert_array_equal(a, b)
    assert asked(again) == []
    assert again.work.spans_reused == 4
    assert again.score([*REQUESTS, ScoreRequest.whole((9, 9), 1)], silent)[-1].tolist() == [9 / 7]
    assert asked(again) == [1]


def test_answers_and_embeddings_are_kept_with_their_limits(tmp_path: Path) -> None:
    one = engine(tmp_path / "s.sqlite")
    assert one.generate([[1, 2]], 5, ["\n"], silent) == engine(tmp_path / "s.sqlite").generate([[1, 2]], 5, ["\n"], silent) == ["é3 5"]
    assert one.generate([[1, 2]], 6, ["\n"], silent) == ["é3 6"]
    mean = one.embed([[1, 2], [3]], silent)
    np.testing.assert_array_equal(mean, [[3, 2], [3, 1]])
    np.testing.assert_array_equal(one.embed([[3]], silent, "last"), [[3, 2]])
    assert asked(one) == [1, 1, 2, 1]
    for _ in range(2):
        np.testing.assert_array_equal(one.last_states([[7, 3], [7]], silent), [[3], [7]])
        np.testing.assert_array_equal(one.distributions([[7, 3]], silent), [[2]])
    assert asked(one)[4:] == [2, 1, 1], "states are kept, distributions are not"


@pytest.mark.parametrize(
    "change", [{"model": "other"}, {"dtype": "bfloat16"}, {"device": "cuda H100"}, {"path": "hf plain"}, {"versions": "2"}]
)
def test_whatever_decides_a_score_keeps_scores_apart(tmp_path: Path, change: dict[str, str]) -> None:
    engine(tmp_path / "s.sqlite").score(REQUESTS, silent)
    other = engine(tmp_path / "s.sqlite", replace(WHO, **change))
    other.score(REQUESTS, silent)
    assert asked(other) == [3]


def test_scores_that_are_no_numbers_are_never_kept(tmp_path: Path) -> None:
    stored = engine(tmp_path / "s.sqlite")
    stored.inner.score = lambda requests, progress: [np.array([np.nan]) for _ in requests]  # type: ignore[method-assign]
    assert np.isnan(stored.score(REQUESTS[:1], silent)[0]).all()
    assert stored.store.count() == 0


def test_a_call_that_dies_leaves_nothing(tmp_path: Path) -> None:
    store = ScoreStore(tmp_path / "s.sqlite")

    def dies() -> object:
        yield (b"a" * 32, b"1")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.put(dies())  # type: ignore[arg-type]
    assert store.count() == 0
    store.put([(b"a" * 32, b"1")])
    assert ScoreStore(tmp_path / "s.sqlite").get([b"a" * 32, b"b" * 32]) == {b"a" * 32: b"1"}


def test_many_processes_write_at_once(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom icl.engine.store import ScoreStore\n"
        "store = ScoreStore(Path(sys.argv[1])); me = int(sys.argv[2])\n"
        "for n in range(30):\n    store.put([(f'{me * (n % 2)}-{n}-{i}'.encode(), b'x') for i in range(20)])\n"
    )
    environment = {"PYTHONPATH": str(Path(icl.__file__).resolve().parent.parent)}
    path = str(tmp_path / "s.sqlite")
    workers = [subprocess.Popen([sys.executable, "-c", code, path, str(me)], env=environment) for me in (1, 2, 3)]
    assert [worker.wait(timeout=120) for worker in workers] == [0, 0, 0]
    assert ScoreStore(tmp_path / "s.sqlite").count() == 15 * 20 + 3 * 15 * 20, "even rounds are shared, odd ones are each worker's own"


def test_damage_and_other_versions_are_said(tmp_path: Path) -> None:
    (tmp_path / "bad.sqlite").write_bytes(b"this is not a database, whatever its name says" * 40)
    with pytest.raises(IclError, match=r"bad\.sqlite is damaged .*delete it"):
        ScoreStore(tmp_path / "bad.sqlite")
    ScoreStore(tmp_path / "s.sqlite").close()
    with sqlite3.connect(tmp_path / "s.sqlite") as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(IclError, match="must have version 1, but has 99"):
        ScoreStore(tmp_path / "s.sqlite")


def test_prune_and_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ScoreStore(tmp_path / "s.sqlite")
    store.put([(b"k", b"v")])
    assert store.prune(older_than_days=1) == 0
    assert store.prune(older_than_days=0) == 1
    assert store.count() == 0
    monkeypatch.setenv("ICL_SCORE_STORE", str(tmp_path / "mine.sqlite"))
    assert store_path() == tmp_path / "mine.sqlite"
    monkeypatch.delenv("ICL_SCORE_STORE")
    monkeypatch.setenv("ICL_CACHE_DIR", str(tmp_path / "c"))
    assert store_path() == tmp_path / "c" / "scores.sqlite"
