"""Episodes of images: what is drawn, that it is keyed, nested and disjoint; Meta-Dataset's shapes; what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from tasks import IclError, keyed_rng
from tasks.images import metadataset
from tasks.images.episodes import Shape, check, draw, lines, sample, sha256
from tasks.images.splits import group_parts, random_parts
from tasks.images.types import ImageSet, ImageTask, by_class


def toy(classes: int = 12, each: int = 8, groups: int = 0) -> ImageSet:
    """Every image is filled with its own number."""
    labels = np.repeat(np.arange(classes), each)
    images = np.arange(classes * each, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 2), np.uint8)
    names = [f"c{i}" for i in range(classes)]
    return by_class(images, labels, names, [f"g{i % groups}" for i in range(classes)] if groups else ())


def test_support_and_queries_are_disjoint_balanced_and_of_the_classes() -> None:
    images = toy()
    episode = draw(images, Shape(4, 2, 3), keyed_rng(0, "x"))
    assert len(set(episode.classes)) == 4
    assert not set(episode.support) & set(episode.query)
    for rows, labels, each in ((episode.support, episode.support_labels, 2), (episode.query, episode.query_labels, 3)):
        assert len(set(rows)) == len(rows) == 4 * each
        assert list(rows // 8) == [int(episode.classes[y]) for y in labels]
        assert list(np.bincount(labels)) == [each] * 4
    assert list(episode.support_labels) == [0, 1, 2, 3, 0, 1, 2, 3]


def test_a_smaller_k_has_the_same_queries_and_a_part_of_the_support() -> None:
    images = toy()
    (large,) = sample(images, Shape(3, 4, 2), n=1, seed=0, purpose="p")
    (small,) = sample(images, Shape(3, 1, 2), n=1, seed=0, purpose="p")
    cut = large.at(1)
    assert list(cut.support) == list(large.support[:3])
    assert list(cut.query) == list(large.query)
    assert len(small.support) == 3
    with pytest.raises(IclError, match="4 support images per class, but K is 5"):
        large.at(5)


def test_episodes_are_keyed_by_their_number_and_hashed_by_names() -> None:
    images = toy()
    five, three = (sample(images, Shape(3, 1, 2), n=n, seed=0, purpose="p") for n in (5, 3))
    assert lines(five[:3], images) == lines(three, images)
    assert lines(sample(images, Shape(3, 1, 2), n=3, seed=1, purpose="p"), images) != lines(three, images)
    assert len({sha256(lines([episode], images)) for episode in five}) == 5
    first = five[0].to_json(images)
    assert first["query"][0].split("#")[0] == first["classes"][0]


def test_an_episode_within_a_group_has_one_group() -> None:
    images = toy(groups=3)
    for episode in sample(images, Shape(4, 1, 1), n=20, seed=0, purpose="p", within_group=True):
        assert len({images.groups[int(c)] for c in episode.classes}) == 1
    with pytest.raises(IclError, match=r"at most 4 ways fit into one group of it, but got 5; use --n-way 4"):
        check(images, Shape(5, 1, 1), "it", within_group=True)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (Shape(13, 1, 1), "it has 12 classes, but 13 ways were asked for; use --n-way 12"),
        (Shape(5, 5, 4), "5 shots and 4 queries per class need 9 images of every class, but it has 8 of c0"),
        (Shape(1, 1, 1), "needs 2 ways, 1 shot and 1 query per class at least, but got 1, 1 and 1"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(shape: Shape, message: str) -> None:
    with pytest.raises(IclError, match=message):
        check(toy(), shape, "it")


def test_rotations_are_classes_of_their_own() -> None:
    images = by_class(np.array([[[1, 2], [3, 4]]], np.uint8), np.array([0]), ["a"])
    turned = images.rotated()
    assert turned.classes == ("a", "a@90", "a@180", "a@270")
    assert turned.images.tolist() == [[[1, 2], [3, 4]], [[2, 4], [1, 3]], [[4, 3], [2, 1]], [[3, 1], [4, 2]]]
    assert list(turned.counts) == [1] * 4


def test_parts_with_a_class_in_common_are_refused() -> None:
    images = toy(4)
    with pytest.raises(IclError, match="class 'c1' stands in train and in test; take it out of one of them"):
        ImageTask("toy", "bad", {"train": images.take([0, 1]), "test": images.take([1, 2])}, "", "")


def test_random_parts_take_every_class_once() -> None:
    images = toy(10)
    parts = random_parts(images, (6, 2, 2), "x")
    assert sorted(name for part in parts.values() for name in part.classes) == sorted(images.classes)
    assert parts["train"].images[0, 0, 0] == images.images[int(parts["train"].classes[0][1:]) * 8, 0, 0]


def test_a_group_in_two_parts_is_refused() -> None:
    with pytest.raises(IclError, match="g0 stands in train and in test"):
        group_parts(toy(groups=2), {"train": ["g0"], "test": ["g1", "g0"]})


def test_meta_datasets_shapes() -> None:
    images = toy(60, 40)
    episodes = metadataset.sample(images, n=60, seed=0, purpose="p")
    ways = [len(episode.classes) for episode in episodes]
    assert min(ways) < 15
    assert 40 < max(ways) <= metadataset.MAX_WAYS
    for episode in episodes:
        shots, queries = np.bincount(episode.support_labels), np.bincount(episode.query_labels)
        assert list(queries) == [metadataset.MAX_QUERY] * len(episode.classes)
        assert shots.min() >= 1
        assert shots.max() <= 30
        assert len(episode.support) <= metadataset.MAX_SUPPORT
        assert not set(episode.support) & set(episode.query)
        assert list(episode.support // 40) == [int(episode.classes[y]) for y in episode.support_labels]
    assert any(len(set(np.bincount(e.support_labels))) > 1 for e in episodes), "supports are imbalanced"


def test_meta_datasets_episodes_stay_within_a_group_that_is_large_enough() -> None:
    images = toy(16, groups=3)  # 6, 5 and 5 classes
    sizes = {len(e.classes) for e in metadataset.sample(images, n=30, seed=0, purpose="p")}
    assert sizes == {5, 6}
    with pytest.raises(IclError, match="needs 5 classes at least"):
        metadataset.check(toy(12, groups=3), "it")
