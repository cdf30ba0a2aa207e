"""The nouns of a comparison: what a learner is given, what it gives back, what was asked. The ground: imports nothing from its siblings."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tasks import Example, IclError, Query

if TYPE_CHECKING:
    from torch import Tensor

DEFAULT_LEARNERS = ("zero-shot", "in-context", "linear-probe", "protonet", "maml")
DEFAULT_MODEL = "builtin:smollm2-135m"
ADAPTS = ("head", "lora", "all")
"""A head on frozen features; LoRA factors of the language model; all of its weights."""
ADDED = {"adapts": "head", "budget": None, "embedder": ""}
"""Fields that kept specs may lack, and what they meant then. Where they say something else they count in a hash, as other fields do."""

LATER = ("everyone", "embedder_fingerprint")
"""What kept resolved specs may lack: it counts in the hash where it says something."""

LISTS = ("learners", "k_shot", "meta_test")
"""Fields of a spec that hold several values."""

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Support:
    """What a learner adapts to: examples with their answers, and nothing of the queries."""

    episode: str
    """Id of the episode, for messages."""
    task: str
    labels: tuple[str, ...]
    """Labels in play, in the task's order; column j of every prediction is labels[j]."""
    examples: tuple[Example, ...]
    """K per label."""

    @property
    def queries(self) -> tuple[Query, ...]:
        """The examples without their answers."""
        return tuple(example.query() for example in self.examples)

    @property
    def targets(self) -> IntArray:
        """Index into `labels` of each example's answer: shape (examples,)."""
        column = {label: j for j, label in enumerate(self.labels)}
        return np.array([column[example.target] for example in self.examples], dtype=np.int64)


@dataclass(frozen=True)
class LearningEpisode:
    """Support, queries, and the answers, which only meta-training and the referee may read."""

    id: str
    support: Support
    queries: tuple[Query, ...]
    targets: IntArray
    """Index into support.labels of each query's answer: shape (queries,)."""


@dataclass(frozen=True)
class Footprint:
    """What adapting cost beyond forward passes of the language model, and what must be kept to serve the task."""

    flops: int
    """Floating-point operations of the adaptation itself (formula in the learner's file)."""
    trainable_parameters: int
    """Numbers that the adaptation sets."""
    bytes_per_task: int
    """Stored per task besides what all tasks share: the head, the prototypes, or the text of the demonstrations."""


class Predictor(Protocol):
    """A learner adapted to one support set."""

    @property
    def footprint(self) -> Footprint:
        """See Footprint."""
        ...

    def predict(self, queries: Sequence[Query]) -> FloatArray:
        """Log-probabilities normalised over the labels: shape (queries, labels). Raises IclError for what cannot be scored."""
        ...

    def query_flops(self, queries: int) -> int:
        """Operations of predicting so many queries, forward passes of the language model left out (those are counted as they happen)."""
        ...


class Learner(Protocol):
    """A way to learn a task from K examples per label. Immutable: every verb returns a new object and leaves the learner as it was."""

    @property
    def name(self) -> str:
        """As in `LEARNERS`."""
        ...

    @property
    def transductive(self) -> bool:
        """Whether a prediction depends on the other queries of its batch."""
        ...

    @property
    def meta_flops(self) -> int:
        """Operations that meta-training took, features left out; 0 before it and for learners without it."""
        ...

    def meta_train(self, episodes: Sequence[LearningEpisode], rng: np.random.Generator) -> Learner:
        """A learner that has learnt from other tasks; itself when there is nothing to learn. `episodes` may be empty."""
        ...

    def adapt(self, support: Support, rng: np.random.Generator) -> Predictor:
        """A predictor for this support set."""
        ...


@runtime_checkable
class Learns(Learner, Protocol):
    """A learner whose meta-training leaves something behind, which can be kept."""

    def learnt(self) -> dict[str, Tensor]:
        """Everything that meta-training has set, but `meta_flops`; empty before it."""
        ...

    def with_learnt(self, learnt: Mapping[str, Tensor], meta_flops: int) -> Learner:
        """This untrained learner, as it was after the meta-training that left this behind: equal to the last bit."""
        ...


@dataclass(frozen=True)
class ComparisonSpec:
    """One comparison. `auto`, None and empty values are filled in before the hash is taken."""

    task: str
    learners: tuple[str, ...] = DEFAULT_LEARNERS
    k_shot: tuple[int, ...] = (4,)
    """Support examples per label; the support of a larger K holds that of a smaller one."""
    episodes: int = 10
    queries: int = 20
    """Per episode, the same for every learner and K."""
    model: str = DEFAULT_MODEL
    embedder: str = ""
    """A sentence model that makes the frozen features; empty: the last hidden states of `model` are them."""
    template: str = ""
    calibration: str = "none"
    """Of in-context learning."""
    seed: int = 0
    dtype: str = "auto"
    device: str = "auto"
    batch_tokens: int | None = None
    meta_steps: int = 300
    """Outer steps of gradient-based meta-learners."""
    budget: float | None = None
    """TFLOP that a learner may spend at each K, and on each task, on adapting to test episodes and answering them; None: it plays all."""
    n_way: int | None = None
    """Classes per episode, drawn from those that the card holds out; None: all labels of the task."""
    meta_test: tuple[str, ...] = ()
    """Other tasks to play on as well, for shifts of the distribution."""
    meta_trained: str = ""
    """File of a version that takes the place of its learner's meta-training; empty: every learner is meta-trained here."""
    adapts: str = "head"
    """What the inner loop of gradient-based meta-learners moves: one of ADAPTS."""
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Learner → settings that it has instead of a search (`icl compare --settings`)."""

    def __post_init__(self) -> None:
        if not self.learners:
            raise IclError("a comparison needs at least one learner; use --learners in-context,linear-probe")
        if not self.k_shot:
            raise IclError("a comparison needs at least one K; use --k-shot 1,4")
        for name, values in {"learners": self.learners, "k-shot": self.k_shot, "meta-test": self.meta_test}.items():
            if len(set(values)) != len(values):
                raise IclError(f"--{name} must name each value once, but got {','.join(map(str, values))}")
        least = {"k-shot": min(self.k_shot), "episodes": self.episodes, "queries": self.queries, "meta-steps": self.meta_steps}
        if self.batch_tokens is not None:
            least["batch-tokens"] = self.batch_tokens
        if self.n_way is not None and self.n_way < 2:
            raise IclError(f"--n-way must be 2 or more, but is {self.n_way}")
        if self.budget is not None and not 0 < self.budget < math.inf:
            raise IclError(f"--budget must be a number of TFLOP above 0, but is {self.budget:g}; leave it out to play all episodes")
        if self.adapts not in ADAPTS:
            raise IclError(f"--adapts must be {', '.join(ADAPTS[:-1])} or {ADAPTS[-1]}, but is '{self.adapts}'")
        for name, value in least.items():
            if value < 1:
                raise IclError(f"--{name} must be 1 or more, but is {value}")

    def to_json(self) -> dict[str, Any]:
        """Plain values, in the order of the fields."""
        values = {**asdict(self), **{name: list(getattr(self, name)) for name in LISTS}}
        if not self.settings:  # a comparison without them has the hash that it had before there were any
            del values["settings"]
        return values

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> ComparisonSpec:
        """The inverse of `to_json`. Raises KeyError for a field that is missing."""
        values = {**ADDED, **values}
        known = {f.name: values[f.name] for f in fields(cls) if f.name != "settings" or f.name in values}
        return cls(**{**known, **{name: tuple(known[name]) for name in LISTS}})


@dataclass(frozen=True)
class ResolvedComparison:
    """A spec with every default filled in, and the fingerprints of what its names meant when it ran."""

    spec: ComparisonSpec
    task_fingerprint: str
    related_fingerprints: tuple[str, ...]
    """Of the tasks that meta-training used, in the card's order, or of its classes."""
    model_fingerprint: str
    template_sha256: tuple[str, ...]
    """Of the evaluated task's template, then of the related tasks'."""
    episodes_sha256: str
    meta_test_fingerprints: tuple[str, ...]
    """Of the other tasks that are played on …"""
    meta_test_sha256: tuple[str, ...]
    """… and of their episodes."""
    meta_trained_sha256: str
    """Spec of the version that is used, and what it has learnt from; empty for none."""
    protocol: int
    """Version of the search grids and sampling sizes: a change there is another comparison."""
    everyone: tuple[str, ...] = ()
    """Who takes part where the spec says `all`."""
    embedder_fingerprint: str = ""
    """Of the sentence model, if there is one."""

    def to_json(self) -> dict[str, Any]:
        """As `spec.json` holds it."""
        return {"kind": "compare", **asdict(self), "spec": self.spec.to_json()}

    def hash(self) -> str:
        """See `spec_sha256`."""
        return spec_sha256(self.to_json())


def spec_sha256(values: dict[str, Any]) -> str:
    """Of what `spec.json` holds, in canonical JSON. Names of files and models stand for what they contain: they do not count themselves."""
    stand_for = {"task", "model", "embedder", "template", "meta_test", "meta_trained"}
    asked = {name: value for name, value in values["spec"].items() if name not in stand_for}
    said = {name: value for name, value in asked.items() if name not in ADDED or value != ADDED[name]}
    named = {name: value for name, value in {**values, "spec": said}.items() if name not in LATER or value}
    return hashlib.sha256(json.dumps(named, sort_keys=True).encode("utf-8")).hexdigest()
