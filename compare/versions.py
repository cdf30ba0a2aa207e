"""A meta-trained learner in versions on disk, each of which goes on from the one before.

    HOME/v1.safetensors        what serves: the learner as meta-training left it
    HOME/v1.state.safetensors  what going on needs: parameters and optimiser (compare/checkpoint.py)
    HOME/v1.json               spec and its hash, tasks, steps; written last, it makes the version whole

A version is never changed. Its spec is what must stay the same for the next one to go on from it: learner, settings, model, labels.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compare.checkpoint import load_state, save_state
from compare.course import Point
from icl.runs.files import damaged, read_json, write_json, writing
from tasks import IclError
from tasks.cache import file_sha256

if TYPE_CHECKING:
    from torch import Tensor

    from compare.outer import OuterState


@dataclass(frozen=True)
class Learnt:
    """A task that a version has learnt from."""

    name: str
    fingerprint: str
    overlaps: tuple[str, ...]
    """Tasks that share texts with it, by its card."""
    since: int
    """The version that saw it first."""


@dataclass(frozen=True)
class Version:
    """One version, without its tensors."""

    path: Path
    """Of its JSON file."""
    number: int
    spec: Mapping[str, Any]
    """learner, settings, labels, k_shot, model and template fingerprints, dtype, seed, protocol."""
    tasks: tuple[Learnt, ...]
    steps: int
    """Outer steps, those of earlier versions included."""
    model: str
    template: str
    """Names of what the fingerprints in `spec` are of."""
    meta_flops: int
    seconds: float
    """The same of operations and of time."""
    points: tuple[Point, ...] = ()
    """Accuracy over the course of this version's own steps."""

    @property
    def learner(self) -> str:
        """Its name."""
        return str(self.spec["learner"])

    @property
    def spec_sha256(self) -> str:
        """Of the spec, in canonical JSON."""
        return spec_sha256(self.spec)

    @property
    def sha256(self) -> str:
        """Of what it is, to the last bit of its tensors."""
        return file_sha256(self.path)

    def words(self) -> str:
        """For a report."""
        return f"{self.learner}, version {self.number}: {self.steps} outer steps on {', '.join(task.name for task in self.tasks)}"

    def learnt(self) -> dict[str, Tensor]:
        """What `with_learnt` of an untrained learner takes. Raises IclError for a file that is not the one which was written."""
        from safetensors.torch import load_file

        path = self.path.with_suffix(".safetensors")
        wanted = read_json(self.path, "learner_sha256")["learner_sha256"]
        if not path.is_file() or file_sha256(path) != wanted:
            raise IclError(f"{path} must be the file that {self.path.name} names, but is missing or another one; meta-train again")
        return {name: value.clone() for name, value in load_file(path).items()}  # compare/checkpoint.py says why

    def state(self) -> OuterState:
        """Where its meta-training ended."""
        return load_state(self.path.with_suffix(".state.safetensors"))[0]


def spec_sha256(spec: Mapping[str, Any]) -> str:
    """Of a version's spec."""
    return hashlib.sha256(json.dumps(spec, sort_keys=True).encode("utf-8")).hexdigest()


def read_version(path: Path) -> Version:
    """The version of a JSON file. Raises IclError for one that is damaged, or no version."""
    values = read_json(path, "spec_sha256", "spec", "tasks", "steps")
    try:
        tasks = tuple(Learnt(t["name"], t["fingerprint"], tuple(t["overlaps"]), t["since"]) for t in values["tasks"])
        own = {name: values[name] for name in ("number", "spec", "steps", "model", "template", "meta_flops", "seconds")}
        version = Version(path=path, tasks=tasks, points=tuple(map(Point.from_json, values["points"])), **own)
    except (KeyError, TypeError) as error:
        raise damaged(path, f"it has no {error}") from error
    if version.spec_sha256 != values["spec_sha256"]:
        raise damaged(path, f"its spec has the hash {version.spec_sha256}, not {values['spec_sha256']}")
    return version


def newest(home: Path) -> Version | None:
    """The newest version; None where there is none."""
    found = [path for path in home.glob("v[0-9]*.json") if path.stem[1:].isdigit()]
    return read_version(max(found, key=lambda path: int(path.stem[1:]))) if found else None


def write_version(version: Version, learnt: Mapping[str, Tensor], state: OuterState) -> None:
    """Writes a version whose files are not there yet."""
    from safetensors.torch import save_file

    path = version.path
    with writing(path, "choose another --workspace"):
        path.parent.mkdir(parents=True, exist_ok=True)
        save_state(path.with_suffix(".state.safetensors"), state, {"spec_sha256": version.spec_sha256})
        scratch = path.with_name(f".{path.stem}.{os.getpid()}")
        save_file({name: value.contiguous() for name, value in learnt.items()}, scratch)
        learner_sha256 = file_sha256(scratch)
        scratch.replace(path.with_suffix(".safetensors"))
        values = {name: value for name, value in asdict(version).items() if name != "path"}
        write_json(path, {"spec_sha256": version.spec_sha256, "learner_sha256": learner_sha256, **values})
