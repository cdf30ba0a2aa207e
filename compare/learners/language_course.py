"""The course of a meta-training that moves weights of the language model itself: kept and gone on with as any other, measured on less.

Every measured query is a forward pass of the whole model. So there are POINTS measurements, each on EPISODES meta-train and as many
meta-validation episodes, with QUERIES of their queries, evenly spaced (they are sorted by label).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from compare.adapted import Adapted
from compare.course import Course
from compare.learning import fewer_queries
from compare.play import play
from compare.types import Learner, LearningEpisode
from icl.engine.types import Work

if TYPE_CHECKING:
    import numpy as np

    from compare.outer import OuterState

POINTS = 4
EPISODES = 3
QUERIES = 10


@dataclass
class LanguageCourse:
    """An `Along` of compare/training.py."""

    course: Course
    copied: Adapted
    steps: int
    rng: np.random.Generator
    """All that it gives was drawn before the first step."""
    now: Callable[[], Learner]
    """The learner as it stands, for measuring."""

    def begin(self, optimiser: Any, work: Work) -> int:
        """See Along."""
        own = asdict(work)
        state = self.course.resumed(self._state(optimiser, 0), self.rng, own)
        if done := int(state.step):
            self._restore(optimiser, state)
            for name, value in own.items():
                setattr(work, name, value)
        self._watch(done)
        return done

    def after(self, optimiser: Any, work: Work, done: int) -> None:
        """See Along."""
        self._watch(done)
        if self.course.due:
            self.course.keep(self._state(optimiser, done), self.rng, asdict(work))

    def _watch(self, done: int) -> None:
        self.course.watch(done, self.steps, self._accuracies, POINTS)

    def _accuracies(self, episodes: Sequence[LearningEpisode]) -> list[float]:
        learner = self.now()
        return [play(learner, fewer_queries(episode, QUERIES), 0).accuracy for episode in episodes[:EPISODES]]

    def _masters(self, optimiser: Any) -> dict[str, Any]:
        return dict(zip(self.copied.trainable, optimiser.param_groups[0]["params"], strict=True))

    def _state(self, optimiser: Any, done: int) -> OuterState:
        """Masters and AdamW's running means."""
        import torch

        from compare.outer import OuterState

        masters = self._masters(optimiser)

        def moments(key: str) -> dict[str, Any]:
            return {name: optimiser.state[p][key] if optimiser.state[p] else torch.zeros_like(p) for name, p in masters.items()}

        step = torch.tensor(float(done), dtype=torch.float64)
        return OuterState(step, {name: p.detach() for name, p in masters.items()}, moments("exp_avg"), moments("exp_avg_sq"))

    def _restore(self, optimiser: Any, state: OuterState) -> None:
        import torch

        with torch.no_grad():
            for name, master in self._masters(optimiser).items():
                master.copy_(state.params[name])
                parameter = self.copied.trainable[name]
                if parameter is not master:
                    parameter.copy_(master)
                moments = {"exp_avg": state.first[name].to(master.device), "exp_avg_sq": state.second[name].to(master.device)}
                optimiser.state[master] = {"step": torch.tensor(float(state.step)), **moments}
