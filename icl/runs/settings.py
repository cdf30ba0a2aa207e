"""What tells runs apart, in a few words: the settings that differ between runs of the same task."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from icl.spec import ResolvedSpec

Facts = dict[str, Callable[[ResolvedSpec], str]]

SETTINGS: Facts = {
    "selector": lambda r: r.spec.selector,
    "order": lambda r: f"order {r.spec.order}",
    "labels": lambda r: f"{r.spec.labels} labels",
    "template": lambda r: r.spec.template,
    "pool": lambda r: f"pool {r.spec.pool or 'all'}",
    "seed": lambda r: f"seed {r.spec.seed}",
    "episodes": lambda r: f"{r.spec.episodes} x {r.spec.queries or 'all'}",
    "split": lambda r: r.spec.split,
    "model": lambda r: r.spec.model,
    "chat": lambda r: "chat" if r.spec.chat else "plain text",
    "dtype": lambda r: r.spec.dtype,
    "device": lambda r: r.spec.device,
    "batch_tokens": lambda r: f"{r.spec.batch_tokens} batch tokens",
    "overflow": lambda r: f"overflow {r.spec.overflow}",
    "normalise": lambda r: f"by {r.spec.normalise}" if r.spec.normalise != "none" else "sums",
    "calibration": lambda r: " + ".join(r.spec.calibration) if len(r.spec.calibration) < 3 else f"{len(r.spec.calibration)} calibrations",
}
"""What a person set, in words."""

CONTENTS: Facts = {
    "template": lambda r: f"template {r.template_sha256[:6]}",
    "data": lambda r: f"data {r.task_fingerprint[:6]}",
    "model": lambda r: f"model {r.model_fingerprint[-6:]}",
    "episodes": lambda r: f"episodes {r.episodes_sha256[:6]}",
    "protocol": lambda r: f"protocol {r.protocol}",
}
"""What the same names held when a run was made; shown only between runs whose settings are all the same."""


def differences(tasks: Sequence[str], runs: Sequence[ResolvedSpec]) -> list[str]:
    """For every run its shots, and what else differs among the runs of its task: `8 shots, knn, seed 1`. Empty lists give an empty one."""
    said = _differing(SETTINGS, runs, tasks)
    same = [(task, run.spec.shots, words) for task, run, words in zip(tasks, runs, said, strict=True)]
    held = _differing(CONTENTS, runs, same)
    shots = [f"{run.spec.shots} shot{'s' if run.spec.shots != 1 else ''}" for run in runs]
    return [", ".join([count, *a, *b]) for count, a, b in zip(shots, said, held, strict=True)]


def _differing(facts: Facts, runs: Sequence[ResolvedSpec], groups: Sequence[object]) -> list[tuple[str, ...]]:
    """Of every run the facts that are not the same in all runs of its group."""
    found: dict[object, dict[str, set[str]]] = {}
    for run, group in zip(runs, groups, strict=True):
        of = found.setdefault(group, {name: set() for name in facts})
        for name, fact in facts.items():
            of[name].add(fact(run))
    return [
        tuple(fact(run) for name, fact in facts.items() if len(found[group][name]) > 1) for run, group in zip(runs, groups, strict=True)
    ]
