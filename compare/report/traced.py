"""What the report shows of `traces.json`: empty for a run without it (`--no-probes`, or from before there was one)."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from compare.probes import DAMAGE_EPISODES, FEATURE_EPISODES, FILE, MODEL_EPISODES
from compare.report import failing, inner, steps
from compare.report.facts import Json
from icl.report.facts import Pairs
from icl.report.figures import Figure, Table
from icl.runs.files import read_json

EMPTY: Json = {
    "limits": {"feature_episodes": FEATURE_EPISODES, "model_episodes": MODEL_EPISODES, "damage_episodes": DAMAGE_EPISODES},
    "steps": [],
    "overlap": [],
    "damage": [],
    "damage_left_out": {},
}


@dataclass(frozen=True)
class Traced:
    """See the module's opening."""

    measured: bool
    limits: dict[str, int]
    """Episodes of each kind of measurement."""
    step_episodes: int
    """First episodes that the chart of steps is about."""
    steps: list[Figure]
    by_step: list[Figure]
    steps_table: Table | None
    inner: list[Figure]
    inner_table: Table | None
    inner_k: int
    """K of the charts of the inner loop."""
    overlap: list[Figure]
    damage: list[Figure]
    damage_table: Table | None
    damage_k: int
    damage_left_out: Pairs

    @property
    def figures(self) -> list[Figure]:
        """All charts."""
        return [figure for f in fields(self) if isinstance(of := getattr(self, f.name), list) for figure in of]


def traced(directory: Path, summary: Json, cost: Json, chance: float) -> Traced:
    """The view of a comparison's measurements."""
    measured = (directory / FILE).is_file()
    traces = read_json(directory / FILE, *EMPTY) if measured else EMPTY
    return Traced(
        measured=measured,
        limits=traces["limits"],
        step_episodes=steps.common_episodes(traces),
        steps=steps.figures(traces, summary, cost, chance),
        by_step=steps.by_step(traces, chance),
        steps_table=steps.table(traces, chance),
        inner=inner.figures(traces),
        inner_table=inner.table(traces),
        inner_k=max((of["k_shot"] for of in traces["steps"]), default=0),
        overlap=failing.overlap_figures(traces, summary, chance),
        damage=failing.damage_figures(traces, chance),
        damage_table=failing.damage_table(traces, chance),
        damage_k=max((of["k_shot"] for of in traces["damage"]), default=0),
        damage_left_out=tuple(traces["damage_left_out"].items()),
    )
