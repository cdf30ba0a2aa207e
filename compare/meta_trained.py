"""A version of `icl compare meta-train` in a comparison (`--meta-trained FILE`): it stands for its learner's own search and meta-training.

It must be one that could have been made here: the same model, dtype, template and labels. And it must not have learnt from what is
compared on, nor from a task that shares texts with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from compare.learners import LEARNERS, Tools
from compare.learners.head import HeadLearner
from compare.search import Chosen
from compare.types import ComparisonSpec
from compare.versions import Version, read_version
from icl.models import ModelSource
from prompts import Template
from tasks import IclError, Task


def find_version(spec: ComparisonSpec) -> Version | None:
    """The version that the spec names, if any. Raises IclError where there is none, or where nobody would use it."""
    if not spec.meta_trained:
        return None
    path = Path(spec.meta_trained).expanduser()
    if not path.is_file():
        raise IclError(f"--meta-trained must be the .json file of a version, as 'icl compare meta-train' prints it, but {path} is no file")
    version = read_version(path)
    if version.learner not in spec.learners:
        raise IclError(f"--meta-trained is a version of {version.learner}, which is not among the learners; add it to --learners")
    if spec.adapts != "head":
        raise IclError(f"--meta-trained is a version of a head on frozen features, but --adapts is {spec.adapts}; leave one of them out")
    if spec.embedder:
        raise IclError(
            "--meta-trained is a version of a head on the language model's hidden states, but --embedder is given; leave one out"
        )
    if spec.n_way is not None:
        raise IclError("--meta-trained knows a fixed set of labels, but --n-way draws classes for every episode; leave one of them out")
    return version


def check_fits(version: Version, played: Sequence[Task], source: ModelSource, template: Template, dtype: str) -> None:
    """`played`: the evaluated task, then the others. Raises IclError for a version made with something else, or from what is played."""
    here: dict[str, Any] = {
        "labels": list(played[0].labels),
        "model_fingerprint": source.fingerprint,
        "template_sha256": template.sha256,
        "dtype": dtype,
    }
    for name, value in here.items():
        if (had := version.spec[name]) != value:
            raise IclError(f"--meta-trained must have the {name.replace('_', ' ')} {value}, but {version.path} has {had}; use another")
    for other in played:
        for learnt in version.tasks:
            same = other.name == learnt.name or other.fingerprint == learnt.fingerprint
            if same or other.name in learnt.overlaps or learnt.name in other.overlaps:
                how = "learnt from it" if same else f"learnt from '{learnt.name}', which overlaps it"
                raise IclError(f"--meta-trained must not know what it is compared on, '{other.name}', but has {how}; use another version")


def chosen(version: Version, tools: Tools) -> Chosen:
    """As if it had been searched and meta-trained now."""
    family = LEARNERS[version.learner]
    settings = next((entry for entry in family.grid if asdict(entry) == version.spec["settings"]), None)
    if settings is None:
        raise IclError(
            f"{version.path} has settings that this program does not know any more: {version.spec['settings']}; meta-train again"
        )
    untrained = family.build(tools, settings)
    assert isinstance(untrained, HeadLearner)
    learner = untrained.with_learnt(version.learnt(), version.meta_flops)
    return Chosen(learner, dict(version.spec["settings"]), (), 0, version.seconds, 0.0, 0)
