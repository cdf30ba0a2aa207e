"""Meta-training of one learner at one K, kept on disk as it goes: after a kill the same call goes on and ends in the same bytes."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compare.ahead import ahead
from compare.checkpoint import load_state, save_state
from compare.images.learners.types import ImageLearner
from compare.outer import OuterState, meta_step
from compare.sampling import Sampler
from compare.traced import traced
from icl.runs import write_json
from icl.runs.files import damaged, read_json
from tasks import IclError, keyed_rng

if TYPE_CHECKING:
    from compare.meta_gradient import Params, TaskBatch

EVERY = 20.0
"""Seconds between two kept states, besides those at the points of the curve."""

WORTH_A_TRACE = 100
"""Outer steps from which on the two to five seconds that a trace takes are won back; the numbers are the same, bit for bit."""

Look = Callable[["Params"], dict[str, float]]


@dataclass(frozen=True)
class Trained:
    """A learner after meta-training."""

    params: Params
    curve: list[dict[str, Any]]
    """`step`, whether all parameters were `finite`, `accuracy` by what was looked at."""
    seconds: float
    """Of the outer steps, of all processes together; looks left out."""
    diverged_at: int | None
    """First look at which what was learnt held a number that is not finite."""


@dataclass(frozen=True)
class Training:
    """What decides it, and where it is kept."""

    learner: ImageLearner
    sampler: Sampler
    steps: int
    batch: int
    seed: int
    device: str
    looks: tuple[int, ...]
    path: Path
    """Of the state; the seconds lie beside it."""
    facts: Mapping[str, Any]
    """A state with other facts is another training's."""

    def run(self, look: Look, tick: Callable[[], None]) -> Trained:
        """To the last step. `tick` is called after each of them. Raises IclError for a kept state of another training."""
        state, curve, seconds = self._begin()
        if self.looks[0] == 0 and not curve:
            curve.append(self._point(0, state, look))
        step = meta_step(self.learner.direction, self.learner.optimiser(self.steps))
        if self.learner.traceable and self.steps - int(state.step) >= WORTH_A_TRACE:
            step = traced(step)
        kept = since = time.monotonic()
        for tasks in ahead(self._tasks, range(int(state.step), self.steps)):
            state = step(state, tasks)
            tick()
            done = int(state.step)
            if done in self.looks or time.monotonic() - kept > EVERY:
                seconds += time.monotonic() - since
                if done in self.looks:
                    curve.append(self._point(done, state, look))
                self._keep(state, curve, seconds)
                kept = since = time.monotonic()
        return Trained(state.params, curve, seconds, next((point["step"] for point in curve if not point["finite"]), None))

    def _point(self, step: int, state: OuterState, look: Look) -> dict[str, Any]:
        """Of the curve. A learner that has diverged is not stopped: its scores are chance, and are counted so."""
        return {"step": step, "finite": finite(state.params), "accuracy": look(state.params)}

    def _tasks(self, step: int) -> TaskBatch:
        key = ("images", "meta-train", step)
        tasks = self.sampler.sample(keyed_rng(self.seed, *key), self.batch)
        arranged = self.learner.arrange(tasks, keyed_rng(self.seed, *key[:2], "arrange", step))
        return type(arranged)(*(part.to(self.device) for part in arranged))

    def _begin(self) -> tuple[OuterState, list[dict[str, Any]], float]:
        if self.path.exists():
            state, facts = load_state(self.path)
            try:
                curve = json.loads(facts.pop("curve"))
                seconds = float(read_json(self._seconds, "seconds")["seconds"])
            except (KeyError, TypeError, ValueError) as error:
                raise damaged(self.path, f"it, or {self._seconds.name} beside it, is not what was kept: {error}") from error
            if facts != dict(self.facts):
                raise IclError(
                    f"{self.path} is the state of another training (spec {facts.get('spec_sha256')}, not {self.facts.get('spec_sha256')}); "
                    "remove it, or compare anew with --fresh"
                )
            return _on(state, self.device), curve, seconds
        start = self.learner.start(keyed_rng(self.seed, "images", "start"))
        state = self.learner.optimiser(self.steps).start({name: value.to(self.device) for name, value in start.items()})
        return state, [], 0.0

    @property
    def _seconds(self) -> Path:
        return self.path.with_suffix(".json")

    def _keep(self, state: OuterState, curve: list[dict[str, Any]], seconds: float) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_json(self._seconds, {"seconds": seconds})
        save_state(self.path, _on(state, "cpu"), {**self.facts, "curve": json.dumps(curve)})  # as text: facts lose the order of their keys


def finite(params: Params) -> bool:
    """Whether every number is."""
    return all(math.isfinite(float(value.abs().sum())) for value in params.values())


def _on(state: OuterState, device: str) -> OuterState:
    parts = ({name: value.to(device) for name, value in part.items()} for part in (state.params, state.first, state.second))
    return OuterState(state.step, *parts)
