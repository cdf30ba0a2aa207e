"""Runs in, a table on disk out: `spec.json`, `summary.json` and `report.html`, a view that can be made again at any time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compare.beside.paired import Line, differing, lines
from compare.beside.queries import check_equal_queries
from icl.runs import find_run, write_json
from icl.runs.files import writing


@dataclass(frozen=True)
class Beside:
    """Runs side by side."""

    dir: Path
    task: str
    split: str
    n_episodes: int
    n_queries: int
    episode: str
    """In which McNemar's test was made."""
    metric: str
    calibration: str
    lines: list[Line]
    differing: dict[str, list[Any]]

    @property
    def name(self) -> str:
        """The directory's name."""
        return self.dir.name

    def to_json(self) -> dict[str, Any]:
        """What `icl compare RUN RUN… --json` prints."""
        return {"run": self.name, "dir": str(self.dir), **self.results()}

    def results(self) -> dict[str, Any]:
        """What `summary.json` holds."""
        facts = {name: getattr(self, name) for name in ("task", "split", "n_episodes", "n_queries", "metric", "calibration")}
        return {**facts, "mcnemar_episode": self.episode, "differing": self.differing, "rows": [line.to_json() for line in self.lines]}


def set_beside(names: Sequence[str], *, out: Path, calibration: str = "none") -> Beside:
    """Finds the runs, compares them in pairs with the first, and writes the report. Raises IclError before anything is written."""
    from compare.beside.page import write_report

    runs = [find_run(name, out) for name in names]
    episodes = check_equal_queries(runs)
    metric, rows = lines(runs, calibration, episodes[0].id)
    spec = {"kind": "compare", "calibration": calibration, "runs": [{"run": r.name, "spec_sha256": r.summary["spec_sha256"]} for r in runs]}
    digest = hashlib.sha256(json.dumps(spec, sort_keys=True).encode("utf-8")).hexdigest()
    found = Beside(
        dir=out / f"compare-{runs[0].facts['task']}-{digest[:10]}",
        task=runs[0].facts["task"],
        split=episodes[0].query_split,
        n_episodes=len(episodes),
        n_queries=len(episodes[0].query),
        episode=episodes[0].id,
        metric=metric,
        calibration=calibration,
        lines=rows,
        differing=differing(runs),
    )
    with writing(found.dir):
        found.dir.mkdir(parents=True, exist_ok=True)
        write_json(found.dir / "spec.json", spec)
        write_report(found)
        write_json(found.dir / "summary.json", found.results())
    return found
