"""Scoring the cells of a design: one model in memory, through the planner, engine and score store of `icl evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from icl.cost import forward_flops, peak_memory_bytes
from icl.engine.types import Progress
from icl.metrics import Outcome
from icl.plan import Planner
from icl.results import EpisodeScores, episode_scores, outcome
from icl.runs.tables import Rows
from icl.scoring import score_section
from icl.selection import Chooser
from icl.sensitivity.design import Cell, Context
from icl.sensitivity.prepare import Prepared
from icl.session import Session
from prompts import PromptBuilder, Template
from tasks import Example, Query
from tasks.types import with_labels


@dataclass(frozen=True)
class Given:
    """A chooser that was told."""

    places: tuple[int, ...]

    def choose(self, query: Query | None, k: int, rng: np.random.Generator) -> list[int]:
        """See Chooser."""
        return list(self.places)


class Player:
    """Asks the model; every call is kept by the score store, so a run that was killed goes on from there."""

    def __init__(self, prepared: Prepared, session: Session) -> None:
        self.prepared, self.session = prepared, session
        self._builders: dict[str, PromptBuilder] = {}

    def play(self, cell: Cell, progress: Progress) -> tuple[EpisodeScores, Rows]:
        """A cell's scores, and its rows for the table of raw scores."""
        wording = cell.wording
        planner = self._planner(wording.template, _key(cell))
        return self.scores(cell.name, planner, cell.context, self.prepared.queries, wording.labels, progress)

    def ask(self, form: int, context: Context, queries: Sequence[Example], progress: Progress) -> Outcome:
        """What the model answers to these queries in a format of the search, under the first calibration."""
        template, labels = self.prepared.formats[form][1], self.prepared.base.labels
        planner = self._planner(template, f"search {form}")
        scores, _ = self.scores(f"search {form}", planner, context, queries, labels, progress)
        return outcome(scores, self.prepared.spec.run.calibration[0])

    def shown(self, form: int) -> str:
        """What a format of the search looks like: one demonstration and a query, without its answer."""
        builder = PromptBuilder(self.prepared.formats[form][1], self.prepared.task)
        return builder.context(self.prepared.plan.contexts[0].shown[-1:], self.prepared.queries[0].query())

    def scores(
        self, name: str, planner: Planner, context: Context, queries: Sequence[Example], labels: Sequence[str], progress: Progress
    ) -> tuple[EpisodeScores, Rows]:
        """Raises IclError for a prompt that does not fit the context window, and for a score that is not a finite number."""
        base = self.prepared.base
        chooser: Chooser = Given(context.places)
        with self.session.clock.phase("plan"):
            items = list(planner.items(base.episodes[0], chooser, base.pairs[0][0], queries))
        tables = score_section(name, items, base.task, self.session.engine, progress, self.session.near)
        rows, near = tables["predictions"], tables.get("neighbours")
        (scores,) = episode_scores(rows, tables["content_free"], labels, self.prepared.spec.run.normalise, near)
        return scores, rows

    def check(self) -> None:
        """Raises IclError when the longest query does not fit behind some demonstrations, before anything is scored."""
        base, plan = self.prepared.base, self.prepared.plan
        longest = max(self.prepared.queries, key=lambda example: sum(map(len, (*example.inputs.values(), *example.choices))))
        for cell in plan.cells():
            if cell.context.order == 0:
                planner = self._planner(cell.wording.template, _key(cell))
                list(planner.items(base.episodes[0], Given(cell.context.places), base.pairs[0][0], [longest]))

    def cost(self) -> dict[str, Any]:
        """What has been computed so far."""
        work = self.session.engine.work
        return {
            "tokens_unique": work.tokens_unique,
            "tokens_total": work.tokens_total,
            "flops": forward_flops(self.session.loaded.model, work),
            "spans_reused": work.spans_reused,
            "seconds": dict(self.session.clock.seconds),
            "peak_memory_bytes": peak_memory_bytes(self.session.device),
        }

    def _planner(self, template: Template, key: str) -> Planner:
        if key not in self._builders:
            self._builders[key] = PromptBuilder(template, with_labels(self.prepared.task, self.prepared.base.episodes[0].labels))
        builder = self._builders[key]
        return replace(self.session.planner, builder=lambda labels: builder, generate=False)


def _key(cell: Cell) -> str:
    return "/".join(map(str, cell.wording.place))
