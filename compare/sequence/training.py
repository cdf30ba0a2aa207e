"""Training a sequence model on episodes, so that it can be killed at any moment and ends in the same bytes.

What a training depends on is its state (parameters, the running means of Adam, the number of the step) and its facts. Episodes are drawn by
their step's number, so there is no state of a sampler.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compare.checkpoint import load_state, save_state
from compare.meta_gradient import TaskBatch
from compare.outer import OuterState
from compare.sequence.optimise import WarmAdam
from compare.sequence.read import Sequences, query_loss, sequence_loss
from compare.sequence.types import SequenceModel
from tasks import IclError, keyed_rng

if TYPE_CHECKING:
    from compare.meta_gradient import Params

Draw = Callable[[int], "Sequences | TaskBatch"]
"""Number of the step → its episodes. A pure function: draw with `keyed_rng(seed, purpose, step)`."""
Seen = Callable[[int, float], None]
"""Steps done, and the mean loss since the last call."""


def unseen(step: int, loss: float) -> None:
    """A Seen that shows nothing."""


@dataclass(frozen=True)
class Training:
    """One training of a sequence model."""

    model: SequenceModel
    inputs: int
    """Width of an input, or channels of an image."""
    draw: Draw
    optimiser: WarmAdam
    facts: Mapping[str, Any]
    """Of JSON: everything that decides the result, `draw` included. A kept state with other facts is another training's."""
    seed: int = 0
    keep_every: int = 500

    def start(self) -> OuterState:
        """Before the first step."""
        return self.optimiser.start(self.model.initial(self.inputs, keyed_rng(self.seed, "sequence", self.model.name, "start")))

    def step(self, state: OuterState) -> tuple[OuterState, float]:
        """The next state, and the loss before it. Raises IclError when that is not a finite number."""
        import torch

        done = int(state.step)
        params = {name: value.detach().requires_grad_() for name, value in state.params.items()}
        batch = self.draw(done)
        if isinstance(batch, Sequences):
            loss = sequence_loss(self.model, params, batch)
        else:
            loss = query_loss(self.model, params, batch)
        if not math.isfinite(value := loss.item()):
            raise IclError(f"the training of {self.model.name} diverged in step {done + 1}: its loss is {value}; use a smaller rate")
        gradient = dict(zip(params, torch.autograd.grad(loss, list(params.values())), strict=True))
        with torch.no_grad():
            return self.optimiser.step(state, gradient), value

    def run(self, path: Path | None = None, seen: Seen = unseen) -> Params:
        """Goes on from what is kept in `path`, if anything is, to the end; the trained parameters.

        Raises IclError for the state of another training, and when the loss is no longer a finite number.
        """
        state = self._kept(path) if path is not None and path.exists() else self.start()
        losses: list[float] = []
        while (done := int(state.step)) < self.optimiser.total:
            state, loss = self.step(state)
            losses.append(loss)
            if (done + 1) % self.keep_every == 0 or done + 1 == self.optimiser.total:
                if path is not None:
                    save_state(path, state, self.facts)
                seen(done + 1, sum(losses) / len(losses))
                losses.clear()
        return {name: value.detach() for name, value in state.params.items()}

    def _kept(self, path: Path) -> OuterState:
        state, kept = load_state(path)
        if kept != dict(self.facts):
            different = ", ".join(sorted(name for name in {*self.facts, *kept} if kept.get(name) != self.facts.get(name)))
            raise IclError(f"{path} is the state of another training (other {different}); remove it, or keep this one elsewhere")
        return state
