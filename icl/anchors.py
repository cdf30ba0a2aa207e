"""Anchors: examples of the pool that are not shown, put in the query's place after the same demonstrations.

Calibrations compare what the model makes of a query with what it makes of them. Two draws, both keyed by seed and episode: `unlabelled`,
for methods that look at inputs only, and `labelled`, the same number of each label. Up to 128 examples, or 8 per label where that is more;
all that the pool has where it has fewer.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from tasks import Example, IclError

ANCHORS = 128
LEAST_PER_LABEL = 8
LEAST_ESTIMATION = 2
"""Inputs per label below which a mixture cannot be fitted."""


def unlabelled(pool: Sequence[Example], shown: Collection[str], labels: Sequence[str], rng: np.random.Generator) -> list[Example]:
    """Uniformly drawn. Raises IclError for fewer than two per label in play."""
    rest = _rest(pool, shown, rng)[: max(ANCHORS, LEAST_PER_LABEL * len(labels))]
    if len(rest) < LEAST_ESTIMATION * len(labels):
        raise IclError(
            f"calibration 'prototypical' needs {LEAST_ESTIMATION * len(labels)} or more examples of the pool that are not shown "
            f"({LEAST_ESTIMATION} per label), but there are {len(rest)}; use a larger --pool, or fewer --shots"
        )
    return [pool[i] for i in rest]


def labelled(
    pool: Sequence[Example],
    shown: Collection[str],
    labels: Sequence[str],
    rng: np.random.Generator,
    who: str = "calibrations 'knn-prompting' and 'hidden' need",
) -> list[Example]:
    """The same number of each label, as far as the pool has them. Raises IclError for a label without any, in the name of `who`."""
    targets = getattr(pool, "targets", None) or [example.target for example in pool]
    most = max(LEAST_PER_LABEL, ANCHORS // len(labels))
    found: dict[str, list[int]] = {label: [] for label in labels}
    for i in _rest(pool, shown, rng):
        if len(of := found[targets[i]]) < most:
            of.append(i)
    if missing := [label for label, of in found.items() if not of]:
        raise IclError(
            f"{who} an example of every label that is not shown, but the pool has none of '{missing[0]}'; "
            "use a larger --pool, or fewer --shots"
        )
    return [pool[i] for i in sorted(i for of in found.values() for i in of)]


def _rest(pool: Sequence[Example], shown: Collection[str], rng: np.random.Generator) -> list[int]:
    """Positions of what is not shown, in random order."""
    ids = getattr(pool, "ids", None) or [example.id for example in pool]
    return [int(i) for i in rng.permutation(len(ids)) if ids[i] not in shown]
