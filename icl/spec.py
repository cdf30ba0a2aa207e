"""RunSpec: everything that decides a result, and nothing that does not. Its hash names the run."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from icl.ablation import LABELS
from icl.calibration.length import LENGTHS
from tasks.errors import IclError, unknown_name

OVERFLOW = ("error", "drop", "fewer")
DEFAULT_MODEL = "builtin:smollm2-135m"

PROTOCOL = 2
"""Raise it with every change of sampling, sections, tokenising, calibration or metrics that changes results under an unchanged spec:
then the command makes another run, instead of finding one that the old code made. Runs from before there was a number have 0."""


@dataclass(frozen=True)
class RunSpec:
    """One evaluation. `auto`, None and empty values are filled in by `resolved` values before the hash is taken."""

    task: str
    """A name of the library, or the path of a card."""
    model: str = DEFAULT_MODEL
    """A builtin, a local directory, a GGUF file or a hub id."""
    template: str = ""
    """A name of the library or a .jinja file; empty means the task's default."""
    selector: str = "random"
    embedder: str = ""
    """What texts are embedded with: a sentence-transformers model (directory or hub id); empty for the evaluated model."""
    order: str = "given"
    """How the selected demonstrations are arranged."""
    labels: str = "true"
    """What demonstrations show as their answers: `true`, `random`, `flipped`, `empty` or `auto`, see icl/ablation.py."""
    shots: int = 8
    """Demonstrations in the prompt."""
    pool: int | None = None
    """Rows of the demonstration split that an episode's support holds; None means all."""
    calibration: tuple[str, ...] = ()
    """Names of calibrations; empty means all that apply to the task."""
    normalise: str = "none"
    """Candidates' log-probabilities by `token`, by `byte`, or as sums (`none`)."""
    episodes: int = 5
    queries: int | None = 100
    """Per episode; None means the whole split."""
    split: str = ""
    """Role that is evaluated; empty means test, or validation where the task has no test labels."""
    seed: int = 0
    dtype: str = "auto"
    device: str = "auto"
    device_map: str = ""
    """How a model that is too big for one device is spread (accelerate's `auto`, `balanced`, `sequential`); empty: one device."""
    batch_tokens: int | None = None
    overflow: str = "error"
    """A prompt longer than the context window: `error`; `drop` whole demonstrations; or `fewer`, the same number for all queries of the
    episode. What was dropped is counted and reported."""
    chat: bool = False
    trust_remote_code: bool = False
    allow_pickle: bool = False

    def __post_init__(self) -> None:
        _at_least("shots", self.shots, 0)
        _at_least("episodes", self.episodes, 1)
        for name in ("pool", "queries", "batch_tokens"):
            value = getattr(self, name)
            if value is not None:
                _at_least(name, value, 1)
        if self.overflow not in OVERFLOW:
            raise unknown_name("overflow policy", self.overflow, OVERFLOW)
        if self.labels not in LABELS:
            raise unknown_name("labels", self.labels, LABELS)
        if self.normalise not in LENGTHS:
            raise unknown_name("length normalisation", self.normalise, LENGTHS)
        if self.pool is not None and self.shots > self.pool:
            raise IclError(
                f"shots <= pool must hold, but got {self.shots} shots from a pool of {self.pool}; use --pool {self.shots} or more"
            )

    def to_json(self) -> dict[str, Any]:
        """Plain values, in the order of the fields."""
        return {**asdict(self), "calibration": list(self.calibration)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> RunSpec:
        """The inverse of `to_json`."""
        known: dict[str, Any] = {f.name: values[f.name] for f in fields(cls) if f.name in values}
        return cls(**{**known, "calibration": tuple(values.get("calibration", ()))})


@dataclass(frozen=True)
class ResolvedSpec:
    """A spec with every default filled in, and the fingerprints of what its names meant when it ran."""

    spec: RunSpec
    task_fingerprint: str
    model_fingerprint: str
    template_sha256: str
    episodes_sha256: str
    embedder_fingerprint: str = ""
    protocol: int = PROTOCOL
    """Version of the code's rules that decide a result."""

    def to_json(self) -> dict[str, Any]:
        """As `spec.json` holds it. Protocol 0 is not written: such a run's hash was taken without it."""
        values = {**asdict(self), "spec": self.spec.to_json()}
        if not self.protocol:
            del values["protocol"]
        return values

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> ResolvedSpec:
        """The inverse of `to_json`. Raises ValueError for values that are missing or of a wrong type; unknown ones are left out."""
        from pydantic import TypeAdapter

        return TypeAdapter(cls).validate_python({"protocol": 0, **values})

    def hash(self) -> str:
        """sha256 of the canonical JSON.

        Names of files and models stand for what they contain, and how episodes were drawn for the episodes: only the contents count.
        """
        values = self.to_json()
        for name in ("task", "model", "template", "embedder", "episodes", "queries", "pool", "split"):
            del values["spec"][name]
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode("utf-8")).hexdigest()

    def with_spec(self, **changes: Any) -> ResolvedSpec:
        """The same with other spec values."""
        return replace(self, spec=replace(self.spec, **changes))


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise IclError(f"{name} >= {least} must hold, but got {value}")
