"""What the studies on images have in common: one comparison per learner, found again when it is finished, and its numbers as a line.

A learner is a comparison by itself, so that each gets the outer steps it can afford; episodes are keyed by seed and shape, and the study
checks by their hash that every learner was tested on the same ones.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compare.images.prepare import prepare
from compare.images.run import compare_images, name_of
from compare.images.spec import ImageSpec
from icl.intervals import t_interval
from icl.runs import is_finished
from tasks import IclError


@dataclass(frozen=True)
class Line:
    """One learner at one shape of episodes, on one source."""

    trained_on: str
    source: str
    learner: str
    n_way: int
    k_shot: int
    per_episode: tuple[float, ...]
    failed: int
    steps: int
    batch: int
    """Tasks of an outer step."""
    backbone: str
    norm: str
    seconds: float
    """Of meta-training, curve left out."""
    settings: dict[str, float]
    curve: tuple[dict[str, Any], ...]
    """Over meta-training, see compare/images/curve.py."""
    episodes_sha256: str

    @property
    def accuracy(self) -> float:
        """Mean over episodes."""
        return sum(self.per_episode) / len(self.per_episode)

    @property
    def half(self) -> float:
        """Half of its 95 % interval (Student's t)."""
        low, high = t_interval(self.per_episode) or (float("nan"), float("nan"))
        return (high - low) / 2

    def to_json(self) -> dict[str, Any]:
        """For the file of numbers: the mean instead of every episode."""
        found = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "per_episode"}
        return {**found, "episodes": len(self.per_episode), "accuracy": self.accuracy, "half_interval": self.half}


def options(parser: argparse.ArgumentParser, name: str, docs: str) -> None:
    """Adds what every such study takes; `docs`: what `--docs` writes."""
    parser.add_argument("--episodes", type=int, default=600, help="test episodes of each source")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data-dir", type=Path, help="a mirror that holds omniglot/*.npz")
    parser.add_argument("--out", type=Path, default=Path("runs") / name, help="where comparisons are kept")
    parser.add_argument("--docs", type=Path, help=f"directory that gets {docs}")
    parser.add_argument("--finished", action="store_true", help="show what is finished, train nothing")


def run(spec: ImageSpec, out: Path, data_dir: Path | None, *, only_finished: bool = False) -> list[Line]:
    """The comparison, made or found, one line per learner, K and source; none for one that is not finished, where only those are wanted.

    Raises IclError as `compare_images` does.
    """
    if only_finished and not is_finished(out / name_of(prepare(spec, data_dir))):
        return []
    print(
        f"{spec.task}: {', '.join(spec.learners)}, {spec.n_way}-way, K = {spec.k_shot}, {spec.meta_steps} steps",
        file=sys.stderr,
        flush=True,
    )
    found = compare_images(spec, out=out, data_dir=data_dir)
    summary, cost, facts = found.read("summary"), found.read("cost"), found.read("environment")["run"]
    seconds = {(row["learner"], row["k_shot"], row["source"]): row["seconds"]["meta_train"] for row in cost["rows"]}
    curves = {(of["learner"], of["k_shot"]): tuple(of["points"]) for of in summary["curves"]}
    return [
        Line(
            trained_on=facts["task"],
            source=row["source"],
            learner=row["learner"],
            n_way=spec.n_way,
            k_shot=row["k_shot"],
            per_episode=tuple(row["accuracy"]["per_episode"]),
            failed=row["failed_episodes"],
            steps=spec.meta_steps,
            batch=spec.meta_batch,
            backbone=spec.backbone,
            norm=spec.norm,
            seconds=seconds[row["learner"], row["k_shot"], row["source"]],
            settings=row["settings"],
            curve=curves[row["learner"], row["k_shot"]],
            episodes_sha256=summary["episodes_sha256"],
        )
        for row in summary["rows"]
    ]


def check_same_episodes(lines: Iterable[Line]) -> None:
    """Raises IclError unless all lines of one shape and source were tested on the same episodes."""
    known: dict[tuple[str, int, int], Line] = {}
    for line in lines:
        first = known.setdefault((line.trained_on, line.n_way, line.k_shot), line)
        if first.episodes_sha256 != line.episodes_sha256:
            raise IclError(
                f"{line.learner} was tested on other episodes than {first.learner} ({line.n_way}-way, K = {line.k_shot}, trained on "
                f"{line.trained_on}); run both anew"
            )


def curve_rows(lines: Sequence[Line], series: Sequence[str]) -> list[dict[str, Any]]:
    """Rows for a chart: learner, K, step, series, accuracy."""
    return [
        {"learner": line.learner, "k_shot": line.k_shot, "step": point["step"], "series": name, "accuracy": point["accuracy"][name]}
        for line in lines
        for point in line.curve
        for name in series
        if name in point["accuracy"]
    ]
