"""Ways in which the points of a test differ from those of training (Garg et al. 2022, section 4.2 and appendix B).

A shift says which points are shown and which are asked (the same, unless it puts them into different orthants), and what happens to y.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from tasks.errors import unknown_name
from tasks.functions.types import Values

Place = Callable[[Values, np.random.Generator], tuple[Values, Values]]
"""Points as drawn, (functions, points, d), and a stream → those that are shown and those that are asked, of the same shape."""


@dataclass(frozen=True)
class Shift:
    """One entry of `SHIFTS`."""

    place: Place | None = None
    """None: what is asked is what is shown, as it was drawn."""
    input_scale: float = 1.0
    """What x is multiplied by, before the function is asked."""
    target_scale: float = 1.0
    """What y is multiplied by."""
    noise: float = 0.0
    """Standard deviation of what is added to y, shown and asked."""


def stretched(eigenvalues: Callable[[int], Values], x: Values, rng: np.random.Generator) -> tuple[Values, Values]:
    """Inputs with these standard deviations along random orthogonal directions of each function, scaled so that |x|² keeps its mean, d."""
    n, _, d = x.shape
    deviations = eigenvalues(d)
    basis, _ = np.linalg.qr(rng.standard_normal((n, d, d)))
    along = x * deviations * (d / (deviations**2).sum()) ** 0.5
    moved = along @ np.swapaxes(basis, 1, 2)
    return moved, moved


def half(d: int) -> Values:
    """Nothing outside of a subspace with half the dimensions (at least one)."""
    return (np.arange(d) < max(d // 2, 1)).astype(np.float64)


def falling(d: int) -> Values:
    """1, 1/2, 1/3, …: variances fall with the square."""
    return 1.0 / np.arange(1, d + 1)


def orthants(x: Values, rng: np.random.Generator) -> tuple[Values, Values]:
    """All points that are shown lie in one orthant, drawn for each function; what is asked lies anywhere."""
    signs = rng.choice([-1.0, 1.0], (x.shape[0], 1, x.shape[2]))
    return np.abs(x) * signs, x


SHIFTS: dict[str, Shift] = {
    "none": Shift(),
    "inputs-third": Shift(input_scale=1 / 3),
    "inputs-double": Shift(input_scale=2.0),
    "inputs-triple": Shift(input_scale=3.0),
    "targets-triple": Shift(target_scale=3.0),
    "noise": Shift(noise=1.0),
    "subspace": Shift(partial(stretched, half)),
    "skewed": Shift(partial(stretched, falling)),
    "orthants": Shift(orthants),
}
"""Name → shift; `none` leaves everything as it was in training."""


def get_shift(name: str) -> Shift:
    """The shift of that name. Raises IclError for an unknown one."""
    if name not in SHIFTS:
        raise unknown_name("shift", name, SHIFTS)
    return SHIFTS[name]
