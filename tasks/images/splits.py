"""Classes cut into disjoint parts: at random by a keyed permutation, or by the groups that they belong to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tasks.errors import DataError
from tasks.images.types import PARTS, ImageSet, Part
from tasks.rng import keyed_rng


def random_parts(images: ImageSet, sizes: tuple[int, int, int], purpose: str) -> dict[Part, ImageSet]:
    """Train, validation and test of these numbers of classes. The permutation is part of the split: it has no seed of the user's."""
    if sum(sizes) != len(images.classes):
        raise DataError(f"the parts must have all {len(images.classes)} classes, but have {' + '.join(map(str, sizes))}")
    order = keyed_rng(0, "image split", purpose).permutation(len(images.classes))
    ends = (0, sizes[0], sizes[0] + sizes[1], len(order))
    return {part: images.take(sorted(map(int, order[ends[i] : ends[i + 1]]))) for i, part in enumerate(PARTS)}


def group_parts(images: ImageSet, groups: Mapping[Part, Sequence[str]]) -> dict[Part, ImageSet]:
    """All classes of the named groups. Raises DataError for a group in two parts."""
    owner: dict[str, Part] = {}
    for part, names in groups.items():
        for name in names:
            if name in owner:
                raise DataError(f"a group must stand in one part, but {name} stands in {owner[name]} and in {part}")
            owner[name] = part
    return {part: images.take([c for c, group in enumerate(images.groups) if owner.get(group) == part]) for part in groups}
