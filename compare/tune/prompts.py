"""`in-context` as a search plays it: a prompt setting on one validation episode, planned and scored as `icl evaluate` does it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from compare.tune.counting import CountingEngine
from compare.tune.types import Outcome, Settings
from icl.cost import Clock, forward_flops
from icl.embedder import Embedder
from icl.engine.store import ScoreStore, StoredEngine, store_path
from icl.engine.types import silent
from icl.events import Quiet
from icl.prepare import Prepared, prepare
from icl.results import episode_scores, outcome
from icl.scoring import score_section
from icl.sections import sections_of
from icl.session import PART_OF, environment_of, identity_of, in_memory, needs_of, planner_of
from icl.shared import Shared
from icl.spec import RunSpec
from tasks import Task


@dataclass(frozen=True)
class PromptPlayer:
    """What all prompt settings of a search share. `shared` holds the sealed task, so no setting can reach a test row."""

    base: RunSpec
    """Task, model, dtype, device and seed; the rest comes from the settings."""
    shared: Shared
    episodes: Path
    """The validation episodes."""

    def begin(self, settings: Settings, paid: set[str]) -> Prompted:
        """Raises IclError for a combination that no run can be."""
        prepared = prepare(run_spec(self.base, settings), None, self.episodes, Quiet(), self.shared)
        return Prompted(self, prepared, paid)


def run_spec(base: RunSpec, settings: Settings) -> RunSpec:
    """The run of a setting. Without demonstrations there is nothing to select or to order: then these have their usual values."""
    values: dict[str, Any] = {**settings, "calibration": (settings["calibration"],)}
    if values["shots"] == 0:
        values |= {"selector": base.selector, "order": base.order}
    return RunSpec(**{**{name: getattr(base, name) for name in RunSpec.__dataclass_fields__}, **values})


def share_task(shared: Shared, base: RunSpec, task: Task) -> None:
    """Makes this the task that every run of these shared things reads."""
    shared.once(("task", base.task, None), lambda: task)


@dataclass(frozen=True)
class Prompted:
    """One prompt setting."""

    player: PromptPlayer
    prepared: Prepared
    paid: set[str]

    def play(self, episode: int) -> Outcome:
        """See Contestant. Raises IclError for a prompt that does not fit the context window and for scores that are not finite."""
        prepared, spec = self.prepared, self.prepared.resolved.spec
        assert spec.batch_tokens is not None
        loaded, inner = in_memory(prepared, spec.device, spec.batch_tokens, self.player.shared)
        environment = environment_of(prepared, inner, spec.device, loaded.context_window)
        store = ScoreStore(store_path())
        engine = CountingEngine(StoredEngine(inner, store, identity_of(prepared, inner, environment), Clock()), self.paid)
        # A new embedder for every episode: what an episode takes must not depend on what was asked before it.
        embed = Embedder(engine, loaded.tokenizer, loaded.context_window)
        planner = planner_of(prepared, engine, embed, loaded.context_window, loaded.tokenizer)
        drawn, (support, queries) = prepared.episodes[episode], prepared.pairs[episode]
        chooser = planner.selector.over(support, drawn.labels or prepared.task.labels)
        near = [of for of in needs_of(prepared) if PART_OF[of] == "anchor"]
        tables: dict[str, list[dict[str, Any]]] = {}
        for section in (s for s in sections_of(prepared) if s.episode == episode):
            asked = queries[section.start : section.stop]
            items = list(planner.items(drawn, chooser, support, asked, first=section.number == 0, every=queries))
            for name, rows in score_section(drawn.id, items, prepared.task, engine, silent, near).items():
                tables.setdefault(name, []).extend(rows)
        store.close()
        (scores,) = episode_scores(tables["predictions"], tables["content_free"], prepared.labels, spec.normalise, tables.get("neighbours"))
        found = outcome(scores, spec.calibration[0])
        nll = -found.log_probs[np.arange(len(found.target)), found.target]
        return Outcome(
            accuracy=float(found.correct.mean()),
            nll=float(nll.mean()),
            flops=forward_flops(loaded.model, engine.whole),
            charged=forward_flops(loaded.model, engine.charged),
            queries=len(queries),
            paid=tuple(engine.marks),
        )
