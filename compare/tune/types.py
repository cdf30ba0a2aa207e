"""The nouns of a tuning: its spec, its budget, what one episode of one setting gave. Imports nothing from its siblings."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from compare.types import DEFAULT_MODEL
from tasks.errors import IclError, shorten

IN_CONTEXT = "in-context"
"""The method that searches prompts; every other one is a learner of `icl compare`."""
DEFAULT_METHODS = (IN_CONTEXT, "lora")
PROTOCOL = 2
"""Raise it with every change of sampling, accounting or choosing that changes results under an unchanged spec."""

Value = bool | int | float | str
Settings = Mapping[str, Value]
UNITS = {"FLOP": 1.0, "GFLOP": 1e9, "TFLOP": 1e12, "PFLOP": 1e15, "episodes": 1.0}


@dataclass(frozen=True)
class Budget:
    """What the search of one method may spend: floating-point operations, or played episodes."""

    amount: float
    unit: str
    """`FLOP` or `episodes`."""

    @classmethod
    def parse(cls, text: str) -> Budget:
        """`20TFLOP`, `3e12 FLOP`, `60 episodes`. Raises IclError for anything else, and for a budget of zero."""
        found = re.fullmatch(r"\s*([0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?)\s*([A-Za-z]+)\s*", text)
        if not found or found[2] not in UNITS:
            raise IclError(
                f"a budget must be a number with its unit ({', '.join(UNITS)}), but is '{shorten(text)}'; for example --budget 20TFLOP"
            )
        amount = float(found[1]) * UNITS[found[2]]
        if not 0 < amount < float("inf"):
            raise IclError(f"a budget must be above 0, but is '{shorten(text)}': nothing could be tried; for example --budget 20TFLOP")
        return cls(amount, "episodes" if found[2] == "episodes" else "FLOP")


@dataclass(frozen=True)
class TuneSpec:
    """One tuning. `auto`, None and empty values are filled in before the hash is taken."""

    task: str
    methods: tuple[str, ...] = DEFAULT_METHODS
    model: str = DEFAULT_MODEL
    template: str = ""
    """Of the learners, and where the search of prompts begins; empty means the task's default."""
    k_shot: int | None = 4
    """Examples per label that every method may learn from; None (in-context alone): the whole demonstration split."""
    sampler: str = "tpe"
    pruner: str = ""
    """Empty: hyperband, or none with nsga2."""
    trials: int = 50
    """Of each method, at most."""
    budget: Budget = Budget(100e12, "FLOP")
    """Of each method."""
    episodes: int = 9
    """Validation episodes of a setting that is not stopped before."""
    queries: int = 50
    test_episodes: int = 10
    test_queries: int = 100
    seed: int = 0
    dtype: str = "auto"
    device: str = "auto"
    batch_tokens: int | None = None
    meta_steps: int = 300
    spaces: Mapping[str, Any] = field(default_factory=dict)
    """Method → its space in plain values, as `space.yaml` holds it; what is not named has its built-in space."""

    def __post_init__(self) -> None:
        if not self.methods:
            raise IclError("a tuning needs at least one method; use --methods in-context")
        if len(set(self.methods)) != len(self.methods):
            raise IclError(f"--methods must name each method once, but got {','.join(self.methods)}")
        least = {name: getattr(self, name) for name in ("trials", "episodes", "queries", "test_episodes", "test_queries", "meta_steps")}
        least |= {name: value for name in ("k_shot", "batch_tokens") if (value := getattr(self, name)) is not None}
        for name, value in least.items():
            if value < 1:
                raise IclError(f"--{name.replace('_', '-')} must be 1 or more, but is {value}")
        if self.k_shot is None and (learners := [name for name in self.methods if name != IN_CONTEXT]):
            raise IclError(f"--k-shot all is for in-context alone, but {learners[0]} learns from K examples per label; give a number")


@dataclass(frozen=True)
class ResolvedTuning:
    """A spec with every default filled in, and the fingerprints of what its names meant when it ran."""

    spec: TuneSpec
    task_fingerprint: str
    related_fingerprints: tuple[str, ...]
    model_fingerprint: str
    templates: Mapping[str, str]
    """Name → sha256, of all that the search may use."""
    episodes_sha256: str
    test_episodes_sha256: str
    protocol: int = PROTOCOL

    def to_json(self) -> dict[str, Any]:
        """As `spec.json` holds it."""
        return {"kind": "tune", **asdict(self)}

    def hash(self) -> str:
        """sha256 of the canonical JSON. Names of task and model stand for what they contain: they do not count themselves."""
        values = self.to_json()
        for name in ("task", "model"):
            del values["spec"][name]
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode("utf-8")).hexdigest()


@dataclass(frozen=True)
class Outcome:
    """One setting on one validation episode."""

    accuracy: float
    nll: float
    """Mean negative log-probability of the right label."""
    flops: int
    """What adapting and answering the episode's queries take, whoever computed it."""
    charged: int
    """What of it, and of meta-training, the search had not paid for yet."""
    queries: int
    reason: str = ""
    """Why the episode failed and counts as chance; empty when it did not."""
    paid: tuple[str, ...] = ()
    """Marks of what this episode paid for, so that no later one is charged for it again."""


class Contestant(Protocol):
    """One setting, ready to play."""

    def play(self, episode: int) -> Outcome:
        """On the validation episode of that number. Raises IclError for a setting that cannot be played."""
        ...


Begin = Callable[[Settings, set[str]], Contestant]
"""Settings, and the marks of what has been paid for → a contestant. Raises IclError for a combination that cannot be."""


def mean(values: Sequence[float]) -> float:
    """Of at least one value."""
    return sum(values) / len(values)
