"""Sequences of points of functions: the one place where function classes and shifts meet."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tasks.errors import IclError, unknown_name
from tasks.functions import linear, network, sinusoid, sparse_linear, tree
from tasks.functions.shifts import get_shift
from tasks.functions.types import FunctionClass, Functions, Values

FUNCTION_CLASSES: dict[str, FunctionClass] = {
    "sinusoid": sinusoid.CLASS,
    "linear": linear.CLASS,
    "sparse-linear": sparse_linear.CLASS,
    "network": network.CLASS,
    "tree": tree.CLASS,
}
"""Name → class of functions."""


class Points(NamedTuple):
    """Some functions, each seen along a sequence. At position i the first i shown pairs are known, and `asked_y[:, i]` is to be said."""

    x: Values
    """(functions, points, d): shown"""
    y: Values
    """(functions, points)"""
    asked_x: Values
    """(functions, points, d): x itself, unless the shift puts them elsewhere"""
    asked_y: Values
    """(functions, points)"""


def get_function_class(name: str) -> FunctionClass:
    """The class of that name. Raises IclError for an unknown one."""
    if name not in FUNCTION_CLASSES:
        raise unknown_name("class of functions", name, FUNCTION_CLASSES)
    return FUNCTION_CLASSES[name]


def sample(name: str, functions: int, points: int, d: int, rng: np.random.Generator, shift: str = "none") -> Points:
    """So many functions of d numbers at so many points each. Raises IclError for unknown names and for sizes below 1."""
    family, moved = get_function_class(name), get_shift(shift)
    for what, value in {"functions": functions, "points": points, "d": d}.items():
        if value < 1:
            raise IclError(f"{what} must be 1 or more, but is {value}")
    drawn: Functions = family.draw(functions, d, rng)
    x = moved.input_scale * family.inputs(functions, points, d, rng)
    x, asked_x = moved.place(x, rng) if moved.place else (x, x)
    y, asked_y = (moved.target_scale * drawn(at) for at in (x, asked_x))
    if moved.noise:
        y = y + moved.noise * rng.standard_normal(y.shape)
        asked_y = y if asked_x is x else asked_y + moved.noise * rng.standard_normal(asked_y.shape)
    return Points(x, y, asked_x, asked_y)
