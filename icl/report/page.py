"""`report.html`: a run as one self-contained page. A pure view: everything comes from the files of the run and its summary."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from icl.calibration import get_calibrator
from icl.metrics import BINS, Outcome
from icl.report import evidence, facts, figures
from icl.report.embed import render
from icl.report.figures import Figure, Table
from icl.results import EpisodeScores, episode_scores, outcome
from icl.runs.files import writing
from icl.runs.store import Run
from icl.runs.tables import Rows
from icl.spec import RunSpec


@dataclass(frozen=True)
class Choices:
    """What is shown about scored candidates."""

    shown: str
    """Calibration of the highest mean accuracy: its mistakes are shown."""
    guess: float
    confusions: list[Figure]
    pairs: Table | None
    """Instead of matrices, where there are too many labels."""
    bias: Figure | None
    reliabilities: list[Figure]
    bins: int
    mistakes: list[evidence.Answer]


@dataclass(frozen=True)
class Page:
    """Everything that the template prints."""

    task: str
    run: str
    model: str
    spec: RunSpec
    split: str
    n_episodes: int
    n_queries: int
    claims: Mapping[str, tuple[facts.Claim, ...]]
    guess: float | None
    table: facts.MetricsTable
    has_bootstrap: bool
    ece_bias: dict[str, str]
    """Calibration → expected calibration error of a perfect model, in words."""
    episodes: list[Figure]
    choices: Choices | None
    written: Mapping[str, list[evidence.Answer]] | None
    cost: facts.CostView
    dropped_demonstrations: int
    shortened_prompts: int
    n_prompts: int
    dropped_rows: Mapping[str, int]
    command: str
    label_words: str
    """That were searched for; empty when they were not."""
    window_used: str
    """By the longest prompt; empty when that was not kept."""
    provenance: facts.Pairs

    @property
    def figures(self) -> list[Figure]:
        """All charts of the page."""
        chosen = self.choices
        own = [*chosen.confusions, *chosen.reliabilities, *([chosen.bias] if chosen.bias else [])] if chosen else []
        return [*self.episodes, *own]


def write_report(directory: Path, summary: Mapping[str, Any]) -> Path:
    """Writes `report.html` into the directory of a run, whose other files are there; `summary` is what `summary.json` will hold."""
    page = build_page(Run(directory), summary)
    path = directory / "report.html"
    text = render("run.html.jinja", figures.specs(page.figures), page)
    with writing(path):
        path.write_text(text, encoding="utf-8", newline="\n")
    return path


def build_page(run: Run, summary: Mapping[str, Any]) -> Page:
    """The view of a run."""
    metrics, environment, spec = summary["metrics"], run.environment, run.resolved.spec
    predictions, prompts = run.table("predictions"), run.table("prompts", ("episode", "dropped", "tokens"))
    free, near = run.table("content_free"), run.table("neighbours")
    episodes = episode_scores(predictions, free, environment["run"]["labels"], spec.normalise, near)
    choices = _choices(episodes, spec.calibration, metrics, predictions, _contexts(run)) if episodes else None
    names = list(dict.fromkeys(row["episode"] for row in predictions))
    main = [metric for metric in ("exact_match", "token_f1", "accuracy") if any(metric in of for of in metrics.values())]
    guess = choices.guess if choices else None
    return Page(
        task=environment["run"]["task"],
        run=run.name,
        model=spec.model,
        spec=spec,
        split=environment["run"]["split"],
        n_episodes=len(names),
        n_queries=environment["run"]["n_queries"],
        claims=facts.claims(metrics),
        guess=guess,
        table=facts.metrics_table(metrics, {name: get_calibrator(name).transductive for name in metrics}),
        has_bootstrap=any(estimate.get("bootstrap95") for of in metrics.values() for estimate in of.values()),
        ece_bias={name: facts.number(of["ece"]["bias"]) for name, of in metrics.items() if "bias" in of.get("ece", {})},
        episodes=[figures.by_episode(metrics, metric, names, guess if metric == "accuracy" else None) for metric in main],
        choices=choices,
        written=evidence.written_answers(predictions, _contexts(run)) if "exact_match" in main else None,
        cost=facts.cost_view(run.cost),
        dropped_demonstrations=sum(row["dropped"] for row in prompts),
        shortened_prompts=sum(row["dropped"] > 0 for row in prompts),
        n_prompts=len(prompts),
        dropped_rows=environment["data"].get("dropped", {}),
        command=facts.command_line(spec, None if environment["run"].get("episodes", "drawn") == "drawn" else run.dir / "episodes.jsonl"),
        label_words=facts.words_found(environment),
        window_used=facts.window_used(prompts, environment["engine"].get("window")),
        provenance=facts.provenance(run.resolved, environment, summary["spec_sha256"]),
    )


def _contexts(run: Run) -> Iterator[Rows]:
    return run.batches("prompts", evidence.OF_PROMPTS)


def _choices(
    episodes: Sequence[EpisodeScores], calibrations: Sequence[str], metrics: facts.Metrics, predictions: Rows, prompts: Iterable[Rows]
) -> Choices:
    outcomes: dict[str, list[Outcome]] = {name: [outcome(episode, name) for episode in episodes] for name in calibrations}
    shown = max(calibrations, key=lambda name: metrics[name]["accuracy"]["mean"])
    fixed = all(episode.fixed for episode in episodes)
    labels = list(dict.fromkeys(label for episode in episodes for label in episode.candidates))
    few = len(labels) <= figures.LARGEST_MATRIX
    return Choices(
        shown=shown,
        guess=evidence.guessing(episodes),
        confusions=figures.confusions(outcomes, labels) if fixed and few else [],
        pairs=figures.pairs_table(outcomes[shown], labels) if fixed and not few else None,
        bias=figures.label_bias(outcomes, labels) if fixed else None,
        reliabilities=figures.reliabilities(outcomes),
        bins=BINS,
        mistakes=evidence.confident_mistakes(episodes, outcomes[shown], predictions, prompts),
    )
