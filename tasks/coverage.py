"""Labels of the card that the data does not have: said, so that nobody finds out from a strange result.

A label without rows stays a candidate of every query. That can be right: of 150 intents a sample has 90, and an answer must still be
found among all 150; to refuse would make users shorten the list and so flatter the model. It can also be a slip (a threshold that
nothing reaches, a name that the data spells as an id). Nobody but the author knows, so it is a remark, made when the task is loaded for
a run and by `icl tasks show`. Only data with fewer than two labels is refused: nothing can be learnt or measured there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tasks.card import TaskCard
from tasks.errors import DataError, shorten
from tasks.types import Example


def label_remarks(card: TaskCard, roles: Mapping[str, Sequence[Example]]) -> tuple[str, ...]:
    """One line about labels that no row has, and one per split that lacks others. Raises DataError for data with fewer than two labels."""
    have = {role: {example.target for example in rows} for role, rows in roles.items()}
    anywhere = set().union(*have.values())
    nowhere = [label for label in card.labels if label not in anywhere]
    if card.labels and len(card.labels) - len(nowhere) < 2:
        raise DataError(
            f"task '{card.name}': the data must have at least two of the labels, but no row has {_some(nowhere)}; correct the data, the "
            "labels and their aliases, or the thresholds"
        )
    remarks = [f"no row has {_some(nowhere)}, which every query still has as a candidate"] if nowhere else []
    for role, found in have.items():
        if lacking := [label for label in card.labels if label in anywhere and label not in found]:
            remarks.append(f"the split {role} has no row with {_some(lacking)}")
    return tuple(remarks)


def _some(labels: Sequence[str]) -> str:
    named = ", ".join(f"'{shorten(label)}'" for label in labels[:5])
    return f"label {named}" if len(labels) == 1 else f"labels {named}{f' and {len(labels) - 5} more' if len(labels) > 5 else ''}"
