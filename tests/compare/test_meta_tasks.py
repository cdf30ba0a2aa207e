"""Which rows meta-learners may see: never the evaluated task's, never an overlapping task's, never one row in both parts of an episode."""

from __future__ import annotations

from pathlib import Path

import pytest
from arena import LABELS, review_task

from compare.class_pools import ClassPools
from compare.meta_tasks import QUERIES_PER_LABEL, VALIDATION_EPISODES, MetaTasks, Pools, load_related, require_related
from tasks import IclError
from tasks.classes import class_task
from tasks.types import Task


def load(known: dict[str, Task], task: Task) -> MetaTasks:
    return load_related(task, known.__getitem__)


def test_support_and_query_are_disjoint_balanced_and_from_the_right_split(tmp_path: Path) -> None:
    films, books = (review_task(tmp_path, name) for name in ("films", "books"))
    episodes = Pools(films, [books], k_max=3, seed=0).episodes(3)
    assert len(episodes.validation) == VALIDATION_EPISODES
    for part, role in ((episodes.train, "demonstration"), (episodes.validation, "validation")):
        ids = set(books.splits[role].ids)
        for episode in part:
            support, queries = [e.id for e in episode.support.examples], [q.id for q in episode.queries]
            assert not set(support) & set(queries)
            assert set(support) | set(queries) <= ids
            assert [e.target for e in episode.support.examples] == ["negative"] * 3 + ["positive"] * 3
            assert episode.targets.tolist() == [0] * QUERIES_PER_LABEL + [1] * QUERIES_PER_LABEL
            truth = {e.id: e.target for e in books.splits[role]}
            assert [truth[q.id] for q in episode.queries] == [LABELS[t] for t in episode.targets]


def test_draws_are_keyed(tmp_path: Path) -> None:
    films, books = (review_task(tmp_path, name) for name in ("films", "books"))

    def drawn(seed: int) -> list[str]:
        return [q.id for episode in Pools(films, [books], k_max=2, seed=seed).episodes(2).train for q in episode.queries]

    assert drawn(0) == drawn(0) != drawn(1)


def test_texts_that_the_evaluated_task_has_are_left_out(tmp_path: Path) -> None:
    films, books = (review_task(tmp_path, name, shared=30) for name in ("films", "books"))
    pools = Pools(films, [books], k_max=2, seed=0)
    own = {e.inputs["text"] for split in films.splits.values() for e in split}
    assert pools.shared > 0
    assert not own & {e.inputs["text"] for _, e in pools.examples()}


def test_rows_of_other_labels_are_left_out_and_said(tmp_path: Path) -> None:
    books = review_task(tmp_path, "books", labels=("negative", "neutral", "positive"))
    films = review_task(tmp_path, "films", related=["books"])
    found = load({"books": books}, films)
    assert "label neutral are left out" in found.notes[0]
    assert {e.target for _, e in Pools(films, found.tasks, k_max=2, seed=0).examples()} == set(LABELS)


def test_a_related_task_without_one_of_the_labels_is_not_used(tmp_path: Path) -> None:
    books = review_task(tmp_path, "books")
    films = review_task(tmp_path, "films", labels=("negative", "neutral", "positive"), related=["books"])
    found = load({"books": books}, films)
    assert found.tasks == ()
    with pytest.raises(IclError, match="'books' is not used: it has no label neutral"):
        require_related(films, found, "maml")


def test_without_related_tasks_the_error_says_what_to_write(tmp_path: Path) -> None:
    films = review_task(tmp_path, "films")
    with pytest.raises(IclError, match=r"add a line 'related: \[TASK, …\]' .* negative, positive"):
        require_related(films, load({}, films), "maml")


@pytest.mark.parametrize("who", ["evaluated", "other", "itself"])
def test_overlapping_tasks_are_refused(tmp_path: Path, who: str) -> None:
    books = review_task(tmp_path, "books", overlaps=["films"] if who == "other" else [])
    related = ["films"] if who == "itself" else ["books"]
    films = review_task(tmp_path, "films")
    films = review_task(tmp_path, "films", related=related, overlaps=["books"] if who == "evaluated" else [])
    with pytest.raises(IclError, match=r"remove it"):
        load({"books": books, "films": films}, films)


def test_tasks_too_small_for_k_take_no_part(tmp_path: Path) -> None:
    films, small = review_task(tmp_path, "films"), review_task(tmp_path, "small", rows=60)
    pools = Pools(films, [small], k_max=8, seed=0)
    assert pools.episodes(8).train == ()


def many(directory: Path) -> Task:
    labels = [f"c{i}" for i in range(9)]
    return review_task(
        directory, "many", rows=900, labels=labels, classes={"train": labels[:4], "validation": labels[4:6], "test": labels[6:]}
    )


def test_episodes_of_classes_never_show_a_class_that_is_held_out(tmp_path: Path) -> None:
    task = many(tmp_path)
    parts = {part: class_task(task, part) for part in ("train", "validation")}
    episodes = ClassPools(parts, n_way=2, k_max=3, seed=0).episodes(3)
    assert len(episodes.validation) == VALIDATION_EPISODES
    for part, role in ((episodes.train, "train"), (episodes.validation, "validation")):
        for episode in part:
            assert set(episode.support.labels) <= set(task.classes[role])
            assert len(episode.support.labels) == 2
            support, queries = [e.id for e in episode.support.examples], [q.id for q in episode.queries]
            assert not set(support) & set(queries)
            assert episode.support.targets.tolist() == [0] * 3 + [1] * 3
            assert episode.targets.tolist() == [0] * QUERIES_PER_LABEL + [1] * QUERIES_PER_LABEL
    assert len({episode.support.labels for episode in episodes.train}) == 12, "every ordered pair of four classes is drawn"
    assert ClassPools(parts, n_way=3, k_max=3, seed=0).episodes(3).validation == (), "two classes make no three ways"
