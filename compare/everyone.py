"""`--learners all`: whoever can run on this task and model. Those who cannot are left out, each with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from compare.learners import Family, Tools
from compare.meta_tasks import MetaTasks, require_related, require_rows
from compare.types import ComparisonSpec
from icl.models import ModelSource, load_skeleton
from tasks import IclError, Task


@dataclass(frozen=True)
class LeftOut:
    """A learner that takes no part, and why."""

    learner: str
    reason: str

    def __str__(self) -> str:
        return f"{self.learner} is left out: {self.reason}"


@dataclass(frozen=True)
class _Shape:
    """In the place of an engine, for a question that the model's modules answer."""

    model: Any


def without_weights(source: ModelSource, calibration: str = "none", meta_steps: int = 1) -> Tools:
    """Tools with which families can be built, and say what they need of the model."""
    nothing: Any = None
    return Tools(nothing, cast(Any, _Shape(load_skeleton(source))), nothing, {}, 0, calibration, meta_steps)


def able(
    families: Mapping[str, Family], spec: ComparisonSpec, task: Task, related: MetaTasks | None, most_shots: int, source: ModelSource
) -> tuple[dict[str, Family], tuple[LeftOut, ...]]:
    """Those that can run, and the others. `related` of None: there are classes to meta-train on, so nobody needs other tasks.
    `most_shots`: the largest K that there are meta-train episodes of.

    The model is looked at without its weights.
    """
    tools = without_weights(source, spec.calibration, spec.meta_steps)
    found, left = {}, []
    for name, family in families.items():
        try:
            if family.needs_meta_train and related is not None:
                require_related(task, related, name)
            if family.needs_meta_train:
                require_rows(most_shots, max(spec.k_shot), name)
            family.build(tools, family.grid[0])
        except IclError as error:
            left.append(LeftOut(name, str(error).rpartition(";")[0] or str(error)))  # what to do about it does not apply here
        else:
            found[name] = family
    return found, tuple(left)
