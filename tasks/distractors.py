"""Wrong choices for generation tasks that are scored as multiple choice, too: the answers of other rows of the *same split*.

Right and wrong choices must be alike in everything but being right. A query's right answer is an answer of the evaluated split; if the
wrong ones came from the demonstration split, they alone could have been shown in the context, and a model that likes or shuns what it has
just read would be credited or blamed for knowing. So every choice of a query comes from the query's split, and an answer is drawn as often
as the split's rows have it, since that is how often it is the right one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from tasks.errors import DataError
from tasks.rng import keyed_rng
from tasks.types import Example


def with_distractors(name: str, roles: Mapping[str, Sequence[Example]], n: int) -> dict[str, list[Example]]:
    """Gives every example n targets of other rows of its split as wrong choices, keyed by its id and free of its accepted answers.

    Raises DataError when a split has too few different targets.
    """
    if not n:
        return {role: list(rows) for role, rows in roles.items()}
    return {role: _of_split(name, role, rows, n) for role, rows in roles.items()}


def _of_split(name: str, role: str, rows: Sequence[Example], n: int) -> list[Example]:
    spellings: dict[str, str] = {}  # without case → as it is written; sorted, so that the order of the rows does not matter
    for target in sorted(example.target for example in rows):
        spellings.setdefault(target.casefold(), target)
    counts = Counter(example.target.casefold() for example in rows)
    targets, weights = list(spellings), np.array([counts[key] for key in spellings], dtype=np.float64)
    position = {key: i for i, key in enumerate(targets)}
    found = []
    for example in rows:
        accepted = {answer.casefold() for answer in (example.target, *example.answers)}
        others = weights.copy()
        others[[position[key] for key in accepted if key in position]] = 0.0
        if (have := int(np.count_nonzero(others))) < n:
            raise DataError(
                f"task '{name}' needs {n} distractors, but its split {role} has {have} other answers for row {example.id}; "
                f"set distractors to at most {have}, or give the split more rows"
            )
        drawn = _draw(others, n, keyed_rng(0, "distractors", name, example.id))
        choices = [example.target, *(spellings[targets[i]] for i in drawn)]
        order = keyed_rng(0, "choices", name, example.id).permutation(len(choices))
        found.append(Example(example.id, example.inputs, example.target, tuple(choices[int(i)] for i in order), example.answers))
    return found


def _draw(weights: np.ndarray[tuple[int], np.dtype[np.float64]], n: int, rng: np.random.Generator) -> list[int]:
    """n positions, one after the other in proportion to what is left of the weights (Efraimidis and Spirakis, 2006)."""
    waits = rng.exponential(size=len(weights))
    with np.errstate(divide="ignore"):
        waits /= weights  # a weight of 0 waits for ever
    return [int(i) for i in np.argsort(waits, kind="stable")[:n]]
