"""The built-in spaces: what is searched of a method unless a file says otherwise."""

from __future__ import annotations

from dataclasses import asdict

from compare.learners import LEARNERS
from compare.tune.space import Choices, Dimension, Space, Span
from compare.tune.types import IN_CONTEXT, Value
from icl.spec import RunSpec
from prompts import check_fit, load_template
from prompts.template import library_names
from tasks import IclError, Task

PROMPT_FIELDS = ("template", "selector", "order", "shots", "calibration", "normalise")
"""Fields of a run's spec that a search of prompts may choose."""

SHOTS = (0, 2, 4, 8, 16)
STEPS = Span(5, 30)
HEAD: Space = {"backbone": Choices(("linear", "mlp")), "inner_lr": Span(0.01, 3.0, log=True), "inner_steps": Span(1, 10)}
"""Of learners that meta-learn a head by gradients."""
METRIC: Space = {"scale": Span(0.5, 32.0, log=True), "trained": Choices((False, True)), "unit_length": Choices((True, False))}
FACTORS: Space = {
    "rank": Choices((8, 2, 4, 16)),
    "lr": Span(1e-4, 1e-2, log=True),
    "steps": STEPS,
    "modules": Choices(("query-value", "all-linear")),
}

LEARNER_SPACES: dict[str, Space] = {
    "fine-tune": {"lr": Span(1e-6, 1e-4, log=True), "steps": STEPS},
    "lora": FACTORS,
    "ia3": {"lr": Span(1e-3, 1e-1, log=True), "steps": STEPS},
    "bitfit": {"lr": Span(3e-4, 3e-2, log=True), "steps": STEPS},
    "prompt-tuning": {"tokens": Choices((8, 4, 16)), "lr": Span(3e-3, 3e-1, log=True), "steps": STEPS},
    "adapt-then-prompt": FACTORS,
    "linear-probe": {"C": Span(1e-2, 1e3, log=True)},
    "protonet": METRIC,
    "matching-net": METRIC,
    "maml": {**HEAD, "outer_lr": Span(1e-3, 1e-1, log=True)},
    "fomaml": {**HEAD, "outer_lr": Span(1e-3, 1e-1, log=True)},
    "reptile": {**HEAD, "outer_lr": Span(0.1, 1.0, log=True)},
    "anil": {**HEAD, "backbone": Choices(("mlp",)), "outer_lr": Span(1e-3, 1e-1, log=True)},
    "meta-sgd": {**HEAD, "outer_lr": Span(1e-3, 1e-1, log=True)},
}
METHODS = (IN_CONTEXT, *LEARNER_SPACES)


def default_space(method: str, task: Task, template: str, pool: int | None) -> Space:
    """Of a method on a task whose support sets have `pool` examples (None: the whole split); `template` is the one it begins with."""
    if method != IN_CONTEXT:
        return LEARNER_SPACES[method]
    space: dict[str, Dimension] = {
        "template": Choices(tuple(dict.fromkeys((template, *fitting_templates(task))))),
        "selector": Choices(("random", "balanced", "bm25", "knn") if task.labels else ("random", "bm25", "knn")),
        "order": Choices(("given", "random", "similarity-ascending", "label-alternating")),
        "shots": Choices(tuple(shots for shots in SHOTS if pool is None or shots <= pool)),
    }
    calibrations = ("none", "contextual", "domain-context", "batch") if task.labels else ("none", "pmi")
    return {**space, "calibration": Choices(calibrations)}


def default_settings(method: str, template: str, pool: int | None) -> dict[str, Value]:
    """What `icl evaluate` and `icl compare` do when nothing is searched: the first setting of every search."""
    if method != IN_CONTEXT:
        return asdict(LEARNERS[method].grid[0])
    usual = RunSpec("")
    shots = usual.shots if pool is None else min(usual.shots, pool)
    named = {name: getattr(usual, name) for name in PROMPT_FIELDS}
    return {**named, "template": template, "shots": shots, "calibration": "none"}


def fitting_templates(task: Task) -> list[str]:
    """Names of the library's templates that can write this task."""
    found = []
    for name in library_names():
        try:
            check_fit(load_template(name), task)
        except IclError:
            continue
        found.append(name)
    return found
