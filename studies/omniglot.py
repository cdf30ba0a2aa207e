"""Omniglot: every learner of the theory on the benchmark it was measured on, the published figure beside ours in its own column.

    python studies/omniglot.py --data-dir DIR                                  # all settings; what is finished is found again
    python studies/omniglot.py --data-dir DIR --settings 5w1s,20w1s --learners protonet,maml
    python studies/omniglot.py --data-dir DIR --docs docs/studies              # and the tables into omniglot.md

One comparison per learner and setting, each with outer steps of its own (PLAN): reduced trainings, whose curves the page shows.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass

from images import Line, check_same_episodes, options, run
from omniglot_report import report

from compare.images.spec import ImageSpec
from tasks import IclError
from tasks.errors import unknown_name

POOLED, STRIDED = "conv4", "conv4-strided"
"""Matching and prototypical networks: a maximum, as their papers; MAML and its relatives: stride 2, as theirs; so have the model-based
learners, for its speed."""


@dataclass(frozen=True)
class Setting:
    """A shape of episodes and the classes they are drawn from."""

    task: str
    n_way: int
    k_shot: int


SETTINGS = {
    "5w1s": Setting("omniglot", 5, 1),
    "5w5s": Setting("omniglot", 5, 5),
    "20w1s": Setting("omniglot", 20, 1),
    "within": Setting("omniglot:within-alphabet", 20, 1),
}


@dataclass(frozen=True)
class Share:
    """What a learner's training gets."""

    steps: int
    batch: int = 8
    backbone: str = STRIDED


PLAN: dict[str, dict[str, Share]] = {
    "5w1s": {
        "protonet": Share(1000, 8, POOLED),
        "maml": Share(5000),
        "fomaml": Share(2000),
        "reptile": Share(2000),
        "anil": Share(2000),
        "meta-sgd": Share(2000),
        "matching-net": Share(1000, 8, POOLED),
        "snail": Share(2000),
        "mann": Share(2000),
        "in-context-transformer": Share(2000),
    },
    "20w1s": {
        "protonet": Share(500, 4, POOLED),
        "maml": Share(500, 4),
        "meta-sgd": Share(800, 4),
        "matching-net": Share(500, 4, POOLED),
        "fomaml": Share(500, 4),
        "reptile": Share(500, 4),
        "anil": Share(500, 4),
    },
    "within": {"protonet": Share(500, 4, POOLED), "maml": Share(500, 4)},
    "5w5s": {
        "protonet": Share(600, 8, POOLED),
        "maml": Share(800),
        "meta-sgd": Share(800),
        "matching-net": Share(600, 8, POOLED),
        "fomaml": Share(800),
        "reptile": Share(800),
        "anil": Share(800),
    },
}


def spec_of(setting: str, learner: str, share: Share, seed: int = 0, episodes: int = 600) -> ImageSpec:
    """The comparison of one learner alone."""
    of = SETTINGS[setting]
    return ImageSpec(
        of.task, (learner,), n_way=of.n_way, k_shot=(of.k_shot,), episodes=episodes, queries=15 if of.n_way == 5 else 5,
        seed=seed, backbone=share.backbone, meta_steps=share.steps, meta_batch=share.batch,
    )  # fmt: skip


def chosen(given: str, known: dict[str, object], kind: str) -> list[str]:
    """Names with commas; empty: all. Raises IclError for an unknown one."""
    wanted = given.split(",") if given else list(known)
    for name in wanted:
        if name not in known:
            raise unknown_name(kind, name, known)
    return wanted


def main(arguments: list[str] | None = None) -> None:
    """Compares, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--settings", default="", help=f"comma-separated: {', '.join(SETTINGS)}")
    parser.add_argument("--learners", default="", help="comma-separated; default: all of the plan")
    options(parser, "omniglot", "omniglot.svg, omniglot.json, and the tables in omniglot.md")
    given = parser.parse_args(arguments)
    lines: dict[str, list[Line]] = {}
    try:
        everyone = {name: None for shares in PLAN.values() for name in shares}
        learners = chosen(given.learners, dict(everyone), "learner of the study")
        for setting in chosen(given.settings, dict(SETTINGS), "setting"):
            shares = {name: share for name, share in PLAN[setting].items() if name in learners}
            specs = [spec_of(setting, name, share, given.seed, given.episodes) for name, share in shares.items()]
            lines[setting] = [line for spec in specs for line in run(spec, given.out, given.data_dir, only_finished=given.finished)]
            check_same_episodes(lines[setting])
        report({name: of for name, of in lines.items() if of}, given.docs)
    except IclError as error:
        sys.exit(f"omniglot: {error}")


if __name__ == "__main__":
    main()
