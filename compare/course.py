"""One meta-training as it goes: where it stands is kept, so that a kill costs seconds, and how good it is so far is measured along it.

Neither changes what is learnt: measuring draws nothing from the training's own stream, and a state that was kept holds all that the next
step depends on (parameters, optimiser, the stream's state, chunk size). Time spent on both is no time of the learner's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from compare.types import LearningEpisode
from tasks import IclError

if TYPE_CHECKING:
    from numpy.random import Generator

    from compare.outer import OuterState

POINTS = 10
"""Measurements of a meta-training, besides the one before its first step."""
WATCHED = 20
"""Meta-train episodes, and as many meta-validation episodes, that are measured on."""
EVERY = 5.0
"""Seconds between two kept states; as much longer again for every second that keeping the last one took (a whole language model with its
running means is gigabytes)."""


@dataclass(frozen=True)
class Point:
    """Accuracy after adapting, episode by episode, at one moment of a meta-training."""

    step: int
    train: tuple[float, ...]
    """On episodes that meta-training draws from."""
    validation: tuple[float, ...]
    """On episodes of meta-validation; empty where there are none."""

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Point:
        """The inverse of `asdict`, which JSON has made lists of."""
        return cls(values["step"], tuple(values["train"]), tuple(values["validation"]))


Measure = Callable[[Sequence[LearningEpisode]], Sequence[float]]
"""Episodes → accuracy of each, as the training stands."""


class Place(Protocol):
    """Where the state of one meta-training is kept."""

    def load(self) -> tuple[OuterState, dict[str, Any]] | None:
        """The last state and its facts; None when there is none."""
        ...

    def save(self, state: OuterState, facts: Mapping[str, Any]) -> None:
        """Keeps a state in the place of the one before."""
        ...


@dataclass
class Course:
    """See the module's opening. As it is made by default it keeps nothing and measures nothing."""

    train: Sequence[LearningEpisode] = ()
    validation: Sequence[LearningEpisode] = ()
    place: Place | None = None
    begin: OuterState | None = None
    """Where an earlier meta-training ended that is gone on with; None begins anew."""
    end: OuterState | None = None
    """Where this one ended."""
    points: list[Point] = field(default_factory=list)
    seconds: float = 0.0
    """Of meta-training itself so far, by all processes that had a part in it; known once `timed` has ended."""
    _aside: float = 0.0
    _since: float = field(default_factory=time.perf_counter)
    _kept: float = field(default_factory=time.monotonic)
    _took: float = 0.0

    @contextmanager
    def timed(self) -> Iterator[None]:
        """What happens in here is meta-training, but for measuring and keeping."""
        self._since, self._aside, self._kept = time.perf_counter(), 0.0, time.monotonic()
        try:
            yield
        finally:  # one that diverges took its time, too
            self.seconds = self._so_far()

    def resumed(self, start: OuterState, rng: Generator, facts: dict[str, Any]) -> OuterState:
        """Where the training goes on: at `start`, or where a killed process kept it. Sets `rng` and `facts` to what they were there."""
        found = self.place.load() if self.place else None
        state = found[0] if found else self.begin or start
        if {name: value.shape for name, value in state.params.items()} != {name: value.shape for name, value in start.params.items()}:
            raise IclError("the kept state of a meta-training has other parameters than its learner; make the run again with --fresh")
        if found is None:
            return state
        known = found[1]
        rng.bit_generator.state = known["rng"]
        facts.update(known["own"])
        self.points = [Point.from_json(point) for point in known["points"]]
        self.seconds = known["seconds"]
        return state

    def watch(self, step: int, steps: int, measure: Measure, points: int = POINTS) -> None:
        """Measures, if this is one of the steps where that is done."""
        first = int(self.begin.step) if self.begin else 0
        due = step - first in {round((steps - first) * i / points) for i in range(points + 1)}
        if due and self.train and step not in {point.step for point in self.points}:
            with self._apart():
                self.points.append(Point(step, tuple(measure(self.train)), tuple(measure(self.validation)) if self.validation else ()))

    @property
    def due(self) -> bool:
        """Whether it is time to keep a state."""
        return self.place is not None and time.monotonic() - self._kept >= EVERY * (1 + self._took)

    def keep(self, state: OuterState, rng: Generator, facts: Mapping[str, Any]) -> None:
        """Keeps the state. `facts`: what else the next step depends on, and results so far."""
        assert self.place is not None  # it was due
        begun = time.monotonic()
        with self._apart():
            points = [vars(point) for point in self.points]
            known = {"rng": rng.bit_generator.state, "points": points, "seconds": self._so_far(), "own": dict(facts)}
            self.place.save(state, known)
            self._kept = time.monotonic()
            self._took = self._kept - begun

    def _so_far(self) -> float:
        return self.seconds + time.perf_counter() - self._since - self._aside

    @contextmanager
    def _apart(self) -> Iterator[None]:
        begun = time.perf_counter()
        yield
        self._aside += time.perf_counter() - begun
