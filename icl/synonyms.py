"""Several words for one label: the probability of the label is the sum of theirs.

log p(label) = log Σ_w exp(log p(w)), over the words w of the label (Schick and Schütze 2021 call the mapping a verbalizer).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def by_label(labels: Sequence[str], sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """(…, words) → (…, labels), the labels in the order of their first word. A label of one word keeps its score to the last bit."""
    columns: dict[str, list[int]] = {}
    for i, label in enumerate(labels):
        columns.setdefault(label, []).append(i)
    return np.stack([np.logaddexp.reduce(sums[..., of], axis=-1) for of in columns.values()], axis=-1)
