"""Episodes: keyed draws, nested K, the file format, and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from taskfiles import reviews, write_card

from tasks import DataError, Episode, Examples, IclError, Task
from tasks.episodes import (
    episodes_sha256,
    read_episodes,
    resolve,
    sample_episodes,
    sample_kshot,
    support_at,
    write_episodes,
)
from tasks.load import load_task


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    return load_task(write_card(tmp_path_factory.mktemp("card"), reviews(200)))


def draw(task: Task, **changes: Any) -> list[Episode]:
    return sample_episodes(task, **{"n": 4, "queries": 10, "split": "test", "pool": 20, "seed": 7, **changes})


def kshot(task: Task, **changes: Any) -> list[Episode]:
    return sample_kshot(task, **{"n": 3, "k_shot": [1, 4], "n_query": 12, "split_query": "test", "seed": 7, **changes})


def test_draws(task: Task) -> None:
    episodes = draw(task)
    assert [e.id for e in episodes] == ["e000", "e001", "e002", "e003"]
    assert len({e.query for e in episodes}) == 4
    for e in episodes:
        assert e.support is not None
        assert len(set(e.query)) == 10
        assert len(set(e.support)) == 20
        assert set(e.query) <= set(task.splits["test"].ids)
        assert set(e.support) <= set(task.splits["demonstration"].ids)
        assert e.labels == ("bad", "good")
    assert draw(task, pool=None)[0].support is None
    assert set(draw(task, queries="all")[0].query) == set(task.splits["test"].ids)


def test_draws_do_not_depend_on_each_other(task: Task) -> None:
    episodes = draw(task)
    assert draw(task, n=2) == episodes[:2]
    assert [e.query for e in draw(task, pool=5)] == [e.query for e in episodes]
    assert [e.query[:3] for e in episodes] == [e.query for e in draw(task, queries=3)]
    assert draw(task, seed=8)[0].query != episodes[0].query


def test_same_draws_in_another_process(task: Task, tmp_path: Path) -> None:
    path = write_card(tmp_path, reviews(200))
    code = (
        "import sys; from tasks.load import load_task; from tasks.episodes import *\n"
        "task = load_task(sys.argv[1])\n"
        "print(episodes_sha256(sample_episodes(task, n=4, queries=10, split='test', pool=20, seed=7)))\n"
        "print(episodes_sha256(sample_kshot(task, n=3, k_shot=[1, 4], n_query=12, split_query='test', seed=7)))\n"
    )
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONHASHSEED": "123", "PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == [episodes_sha256(draw(task)), episodes_sha256(kshot(task))]


def test_too_many_names_the_number_to_ask_for(task: Task) -> None:
    most = len(task.splits["test"])
    with pytest.raises(IclError, match=f"write --queries {most} or --queries all"):
        draw(task, queries=most + 1)
    pool = len(task.splits["demonstration"])
    with pytest.raises(IclError, match=f"write --pool {pool} or leave --pool out"):
        draw(task, pool=pool + 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": "demonstration"}, "demonstrations would come from the evaluated rows.*evaluate one of test"),
        ({"split": "tets"}, "unknown split 'tets': did you mean test"),
        ({"queries": 0}, "--queries must be a number from 1 or all, but got 0"),
        ({"pool": 0}, "--pool must be a number from 1"),
        ({"n": 0}, "--episodes must be a number from 1"),
        ({"queries": "some"}, "--queries must be a number from 1 or all, but got some"),
    ],
)
def test_refused(task: Task, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(IclError, match=message):
        draw(task, **changes)


def test_overlapping_splits_are_refused(task: Task) -> None:
    leaky = replace(task, splits={**task.splits, "test": task.splits["demonstration"]})
    with pytest.raises(DataError, match="demonstrations would come from the evaluated rows"):
        draw(leaky)


def test_kshot_is_nested_and_balanced(task: Task) -> None:
    for e in kshot(task):
        four, one = support_at(e, task, 4), support_at(e, task, 1)
        assert [x.target for x in one] == ["bad", "good"]
        assert [x.target for x in four].count("good") == 4
        assert four[: len(one)] == one
    small, large = kshot(task, k_shot=[2]), kshot(task, k_shot=[2, 16])
    for a, b in zip(small, large, strict=True):
        assert a.query == b.query
        assert [x.id for x in support_at(b, task, 2)] == list(a.support or ())
    with pytest.raises(IclError, match="must hold 5 support rows per label"):
        support_at(small[0], task, 5)


def test_kshot_asks_for_what_there_is(task: Task) -> None:
    with pytest.raises(IclError, match="K = 500 needs 500 rows of every label"):
        kshot(task, k_shot=[500])
    with pytest.raises(IclError, match="queries can be asked of task 'toy'"):
        kshot(task, n_query=5000)
    with pytest.raises(IclError, match="every K must be at least 1"):
        kshot(task, k_shot=[])
    with pytest.raises(IclError, match="n_way must be 2 to 2"):
        kshot(task, n_way=3)


def test_ways(tmp_path: Path) -> None:
    labels = {name: name for name in "abcdef"}
    rows = [{"text": f"text {i}", "label": "abcdef"[i % 6]} for i in range(400)]
    task = load_task(write_card(tmp_path, rows, labels=labels))
    episodes = kshot(task, n=8, n_way=3)
    assert len({e.labels for e in episodes}) > 1
    for e in episodes:
        assert e.labels == tuple(sorted(e.labels))
        assert len(e.labels) == 3
        support, queries = resolve(e, task)
        assert {x.target for x in support} == set(e.labels)
        assert {x.target for x in queries} <= set(e.labels)


def test_kshot_without_labels(tmp_path: Path) -> None:
    rows = [{"input": f"word {i}", "out": f"out {i}"} for i in range(60)]
    task = load_task(write_card(tmp_path, rows, kind="generation", labels=None, inputs=["input"], target="out"))
    (e,) = kshot(task, n=1, n_query=5)
    assert e.labels == ()
    assert [x.id for x in support_at(e, task, 4)] == list(e.support or ())


def test_file_round_trip(task: Task, tmp_path: Path) -> None:
    import hashlib

    episodes = [*draw(task, pool=None, n=2), *[replace(e, id=f"k{e.id}") for e in kshot(task)]]
    path = tmp_path / "episodes.jsonl"
    write_episodes(path, episodes)
    assert read_episodes(path) == episodes
    assert hashlib.sha256(path.read_bytes()).hexdigest() == episodes_sha256(episodes)
    with pytest.raises(IclError, match="cannot be written"):
        write_episodes(tmp_path / "missing" / "episodes.jsonl", episodes)


GOOD = {"id": "e0", "task": "toy", "support_split": "demonstration", "support": None, "query_split": "test", "query": ["r1"]}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", ":2: not an episode"),
        ("[]", ":2: not an episode"),
        (json.dumps({**GOOD, "id": "e1", "extra": 1}), ":2: not an episode: extra"),
        (json.dumps({**GOOD, "id": "e1", "query": "r1"}), ":2: not an episode: query"),
        (json.dumps({**GOOD, "id": "e1", "query": [1]}), r":2: not an episode: query\.0"),
        (json.dumps({**GOOD, "id": "e1", "query": []}), ":2: an episode must have at least one query"),
        (json.dumps({**GOOD, "id": "../e1"}), ":2: not an episode: id"),
        (json.dumps({k: v for k, v in GOOD.items() if k != "support"}), ":2: not an episode: support"),
        (
            json.dumps({**GOOD, "id": "e1", "support_split": "test", "support": ["r1"]}),
            ":2: demonstrations would come from the evaluated rows",
        ),
        (
            json.dumps({**GOOD, "id": "e1", "query_split": "demonstration"}),
            ":2: .*'demonstration' is the support_split of line 1 and the que",
        ),
        (
            json.dumps({**GOOD, "id": "e1", "support_split": "validation", "query_split": "demonstration", "support": ["r1"]}),
            ":2: .*'demonstration' is the support_split of line 1 and the query_split of line 2; no split may be both",
        ),
        (json.dumps({**GOOD, "id": "e1", "labels": ["bad", "bad"]}), ":2: labels in play must differ, but got bad, bad"),
        (json.dumps(GOOD), ":2: episode ids must differ, but e0 stands on line 1"),
    ],
)
def test_broken_files_name_the_line(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "episodes.jsonl"
    path.write_text(f"{json.dumps(GOOD)}\n{line}\n", encoding="utf-8")
    with pytest.raises(DataError, match=message) as caught:
        read_episodes(path)
    assert "\n" not in str(caught.value)


def test_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "episodes.jsonl"
    path.write_text("\n", encoding="utf-8")
    with pytest.raises(DataError, match="at least one line"):
        read_episodes(path)
    with pytest.raises(IclError, match="there is no such file"):
        read_episodes(tmp_path / "none.jsonl")
    with pytest.raises(IclError, match="must not hold a NUL character"):
        read_episodes(Path("a\0b"))


def test_resolve(task: Task) -> None:
    e = draw(task)[0]
    support, queries = resolve(e, task)
    assert [x.id for x in support] == list(e.support or ())
    assert [x.id for x in queries] == list(e.query)
    assert isinstance(resolve(draw(task, pool=None)[0], task)[0], Examples)
    train, test = task.splits["demonstration"].ids, task.splits["test"].ids
    broken = {
        "belongs to task 'other'": replace(e, task="other"),
        "other data of task 'toy'": replace(e, task_fingerprint="0" * 64),
        "names the row 'nope'": replace(e, query=("nope",)),
        "every row of test once": replace(e, query=(test[0], test[0])),
        "unknown split 'dev'": replace(e, query_split="dev"),
        "labels that task 'toy' does not have: ugly": replace(e, labels=("ugly",)),
        "would come from the evaluated rows": replace(e, support=None, query=(train[0],), query_split="demonstration"),
    }
    for message, episode in broken.items():
        with pytest.raises(IclError, match=message):
            resolve(episode, task)
    for shown in (train[0], train[1]):  # the query itself, or a row that another episode might ask
        same_split = replace(e, support=(shown,), query=(train[0],), query_split="demonstration")
        with pytest.raises(DataError, match="would come from the evaluated rows"):
            resolve(same_split, task)


def test_resolve_compares_texts_not_only_ids(task: Task) -> None:
    from datasets import Dataset

    query = task.splits["test"][0]
    twin = {"id": "twin", "inputs": {"text": query.inputs["text"].upper() + "!"}, "target": "bad", "choices": [], "answers": []}
    leaky = replace(task, splits={**task.splits, "demonstration": Examples(Dataset.from_list([twin]))})
    e = Episode("e0", "toy", "demonstration", ("twin",), "test", (query.id,))
    with pytest.raises(DataError, match=f"twin has the text of query {query.id}"):
        resolve(e, leaky)
