"""The test split, touched once: the best setting of each method becomes an ordinary run on test episodes, and the study keeps what it gave.

That a test has begun is written before anything is read. Killed, it goes on with the same setting, since the search has ended; finished,
its numbers are read from the study, and neither this command nor a later one looks at the test split again.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from compare.run import compare
from compare.tune.prepare import Prepared
from compare.tune.tuned import tuned_run
from compare.tune.types import IN_CONTEXT, Settings
from compare.types import ComparisonSpec
from icl.evaluation import evaluate
from icl.events import Events
from icl.runs.store import Run
from icl.shared import Shared

BEGUN, DONE = "test begun", "test"
"""Attributes of a method's study."""


@dataclass(frozen=True)
class Tested:
    """A method's best setting on the test split."""

    run: str
    """Name of the run, which lies beside the tuning."""
    accuracy: tuple[float, ...]
    """Per test episode, in their order."""


@dataclass(frozen=True)
class Judge:
    """Makes the tests of a tuning."""

    prepared: Prepared
    episodes: Path
    """The test episodes."""
    out: Path
    data_dir: Path | None
    events: Events

    def test(self, method: str, settings: Settings, study: Any) -> Tested:
        """As the module's opening says."""
        if (known := study.user_attrs.get(DONE)) is not None:
            return Tested(known["run"], tuple(known["accuracy"]))
        study.set_user_attr(BEGUN, dict(settings))
        tested = self._prompt(settings) if method == IN_CONTEXT else self._learner(method, settings)
        study.set_user_attr(DONE, asdict(tested))
        return tested

    def _prompt(self, settings: Settings) -> Tested:
        spec = tuned_run(self.prepared, settings)
        run: Run = evaluate(spec, out=self.out, data_dir=self.data_dir, episodes=self.episodes, events=self.events, shared=Shared())
        (metrics,) = run.summary["metrics"].values()
        return Tested(run.name, tuple(metrics["accuracy"]["per_episode"]))

    def _learner(self, method: str, settings: Settings) -> Tested:
        """`compare` draws the same test episodes: their support and queries are keyed by seed, K and split."""
        spec = self.prepared.spec
        assert spec.k_shot is not None
        run = compare(
            ComparisonSpec(
                spec.task,
                (method,),
                k_shot=(spec.k_shot,),
                episodes=spec.test_episodes,
                queries=spec.test_queries,
                model=spec.model,
                template=spec.template,
                seed=spec.seed,
                dtype=spec.dtype,
                device=spec.device,
                batch_tokens=spec.batch_tokens,
                meta_steps=spec.meta_steps,
                settings={method: dict(settings)},
            ),
            out=self.out,
            data_dir=self.data_dir,
            probes=False,
            events=self.events,
        )
        (row,) = run.read("summary")["rows"]
        return Tested(run.name, tuple(row["accuracy"]["per_episode"]))
