"""What the studies that compare learners have in common: groups of learners with episodes of their own, and what came out, line by line.

A group of learners is one comparison of `icl compare`, on as many episodes as its learners can afford. Draws are keyed by the episode's
id, so the episodes of a smaller group are the first ones of a larger group; that is checked on the files before anything is paired.
Finished comparisons are found again, interrupted ones go on.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from compare import ComparisonRun, ComparisonSpec
from compare.run import compare
from compare.statistics import REFERENCE, Contrast, adjusted
from icl.intervals import paired_difference
from tasks import IclError
from tasks.errors import unknown_name

CALIBRATED = "in-context, calibrated"
FEATURES = ("linear-probe", "protonet", "matching-net", "maml", "fomaml", "reptile", "anil", "meta-sgd")
ON_SENTENCES = " on sentences"
"""After the name of a learner whose features are those of a sentence model."""


@dataclass(frozen=True)
class Group:
    """Learners of one comparison."""

    learners: tuple[str, ...]
    calibration: str = "none"
    """Of in-context learning."""
    on_sentences: bool = False
    """Whether features are those of `--embedder`."""


GROUPS = {
    "features": Group(FEATURES),
    "sentences": Group(("linear-probe", "protonet", "matching-net"), on_sentences=True),
    "prompts": Group(("zero-shot", "in-context")),
    "calibrated": Group(("in-context",), "contextual"),
    **{name: Group((name,)) for name in ("metaicl", "lora", "ia3", "prompt-tuning", "fine-tune", "adapt-then-prompt")},
}
"""By the name that a plan uses. What trains the language model is a group by itself: each may get episodes of its own."""


@dataclass(frozen=True)
class Line:
    """One learner on one task at one K."""

    task: str
    learner: str
    k_shot: int
    accuracies: tuple[float, ...]
    """Of its episodes, in their order."""
    seconds: Mapping[str, float]
    """`meta_train`, `adapt` (per episode), `per_query`."""
    flops: Mapping[str, float]
    """The same three."""
    search_seconds: float = 0.0
    search_episodes: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    failed: int = 0
    """Episodes that failed, and count as chance."""
    embedder: str = ""
    """Name of the sentence model's directory or repository, where features are its vectors."""
    device: str = ""
    """The processor's name and how many threads it was given."""

    @property
    def key(self) -> tuple[str, int, str]:
        return self.task, self.k_shot, self.learner


@dataclass(frozen=True)
class Pair:
    """A learner minus in-context learning on the episodes that both have."""

    episodes: int
    contrast: Contrast


@dataclass(frozen=True)
class Share:
    """What a group gets: so many episodes, at these K only (empty: at all of the study's)."""

    episodes: int
    k_shot: tuple[int, ...] = ()


def plan(text: str) -> dict[str, Share]:
    """`features=200,lora=5@1+5` → group → its share. Raises IclError for anything else."""
    found: dict[str, Share] = {}
    for part in text.split(","):
        name, _, rest = part.strip().partition("=")
        count, at, ks = rest.partition("@")
        if name not in GROUPS:
            raise unknown_name("group of learners", name, GROUPS)
        numbers = [count, *(ks.split("+") if at else ())]
        if not all(number.isdigit() for number in numbers) or int(count) < 2 or name in found:
            raise IclError(
                f"--episodes must name each group once, with 2 episodes or more and perhaps some K, but has '{part}'; "
                "for example prompts=20,lora=5@4"
            )
        found[name] = Share(int(count), tuple(int(number) for number in numbers[1:]))
    return found


def run_plan(spec: ComparisonSpec, shares: Mapping[str, Share], out: Path, data_dir: Path | None) -> list[Line]:
    """Every group of the plan on the spec's task, whose learners and episodes are the group's; the spec's embedder serves the groups on
    sentences alone. Raises IclError as `compare` does."""
    if spec.embedder and not any(GROUPS[name].on_sentences for name in shares):
        raise IclError("--embedder serves the group 'sentences' alone; add it to --episodes, or leave --embedder out")
    if not spec.embedder and (lost := [name for name in shares if GROUPS[name].on_sentences]):
        raise IclError(f"group {lost[0]} needs a sentence model; add --embedder, or leave the group out of --episodes")
    runs = []
    for name, share in shares.items():
        group = GROUPS[name]
        print(f"{spec.task}: {name}, {share.episodes} episodes", file=sys.stderr, flush=True)
        if stray := [k for k in share.k_shot if k not in spec.k_shot]:
            raise IclError(
                f"group {name} asks for K = {stray[0]}, but the study has {', '.join(map(str, spec.k_shot))}; add it to --k-shot"
            )
        its = replace(
            spec,
            learners=group.learners,
            episodes=share.episodes,
            k_shot=share.k_shot or spec.k_shot,
            calibration=group.calibration,
            embedder=spec.embedder if group.on_sentences else "",
        )
        runs.append(compare(its, out=out, data_dir=data_dir))
    check_same_beginnings([run.dir / "episodes.jsonl" for run in runs])
    return [line for run in runs for line in lines_of(run)]


def check_same_beginnings(files: Sequence[Path]) -> None:
    """Raises IclError unless the episodes of every file are the first ones of the longest: same labels and queries, nested support."""
    every = [[json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] for path in files]
    longest = max(every, key=len)
    for path, episodes in zip(files, every, strict=True):
        for mine, theirs in zip(episodes, longest, strict=False):
            n = min(len(mine["support"]), len(theirs["support"]))  # the support of a smaller K is the beginning of a larger one's
            if {**mine, "support": mine["support"][:n]} != {**theirs, "support": theirs["support"][:n]}:
                raise IclError(
                    f"{path}: episode {mine['id']} is not that of the longest file, so nothing can be paired; run all groups anew"
                )


def lines_of(run: ComparisonRun) -> list[Line]:
    """The rows of a finished comparison."""
    summary, cost, environment, spec = (run.read(name) for name in ("summary", "cost", "environment", "spec"))
    costs = {(row["learner"], row["k_shot"]): row for row in cost["rows"]}
    calibrated = spec["spec"]["calibration"] != "none"
    on = ON_SENTENCES if spec["spec"].get("embedder") else ""
    return [
        Line(
            task=row["task"],
            learner=CALIBRATED if calibrated and row["learner"] == REFERENCE else row["learner"] + on,
            k_shot=row["k_shot"],
            accuracies=tuple(row["accuracy"]["per_episode"]),
            seconds=costs[row["learner"], row["k_shot"]]["seconds"],
            flops=costs[row["learner"], row["k_shot"]]["flops"],
            search_seconds=costs[row["learner"], row["k_shot"]]["search"]["seconds"],
            search_episodes=row["search_episodes"],
            settings=row["settings"],
            failed=row["failed_episodes"],
            embedder=Path(spec["spec"].get("embedder", "")).name,
            device=f"{environment['device_name']}, {environment['torch_threads']} thread(s), {environment['dtype']}",
        )
        for row in summary["rows"]
    ]


def against_in_context(lines: Iterable[Line], reference: str = REFERENCE) -> dict[tuple[str, int, str], Pair]:
    """Every other line minus in-context learning on the same task at the same K; p-values after Holm over all of them."""
    known = {line.key: line for line in lines}
    differences, shared = {}, {}
    for (task, k, learner), line in known.items():
        other = known.get((task, k, reference))
        if learner == reference or other is None:
            continue
        n = min(len(line.accuracies), len(other.accuracies))
        differences[task, k, learner] = paired_difference(line.accuracies[:n], other.accuracies[:n])
        shared[task, k, learner] = n
    return {key: Pair(shared[key], contrast) for key, contrast in adjusted(differences).items()}


def options(description: str, name: str, **defaults: str) -> argparse.ArgumentParser:
    """What such a study's command line takes; `defaults`: tasks, k_shot, episodes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--tasks", default=defaults["tasks"], help="comma-separated")
    parser.add_argument("--k-shot", default=defaults["k_shot"], help="support examples per label, comma-separated")
    parser.add_argument(
        "--episodes", default=defaults["episodes"], help=f"episodes per group, and @K for some K only; groups: {', '.join(GROUPS)}"
    )
    parser.add_argument("--queries", type=int, default=int(defaults["queries"]), help="per episode")
    parser.add_argument("--meta-steps", type=int, default=100, help="outer steps of meta-learners")
    parser.add_argument("--model", default=ComparisonSpec.model)
    parser.add_argument("--embedder", default="", help="a sentence model, for the group 'sentences'")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data-dir", type=Path, help="a mirror of the hub data")
    parser.add_argument("--out", type=Path, default=Path("runs"), help="where comparisons are kept")
    parser.add_argument("--docs", type=Path, help=f"directory that gets {name}.svg, {name}.json, and the table in {name}.md")
    return parser


def spec_of(given: argparse.Namespace, task: str, n_way: int | None = None) -> ComparisonSpec:
    """The comparison that the options describe."""
    return ComparisonSpec(
        task,
        k_shot=tuple(int(k) for k in given.k_shot.split(",")),
        queries=given.queries,
        model=given.model,
        embedder=given.embedder,
        seed=given.seed,
        meta_steps=given.meta_steps,
        n_way=n_way,
    )


def line_json(line: Line, pair: Pair | None) -> dict[str, Any]:
    """Plain values, for the file of numbers."""
    found = asdict(line)
    if pair is not None:
        found["minus_in_context"] = {"episodes": pair.episodes, **pair.contrast.to_json()}
    return found
