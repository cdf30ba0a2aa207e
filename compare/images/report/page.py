"""`report.html` of a comparison on images. A pure view of the files in the run's directory: it can be made again from them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compare.images.curve import FOLLOWS, IGNORES
from compare.images.report import charts, facts
from icl.report.embed import render
from icl.report.facts import Pairs, number, seconds
from icl.report.figures import Figure, Table, specs
from icl.runs.files import read_json

HERE = Path(__file__).parent
PARTS = {"train": "classes it learns from", "validation": "meta-validation classes", "test": "meta-test classes"}


@dataclass(frozen=True)
class Page:
    """Everything that the template prints."""

    run: str
    task: str
    shape: str
    """Of the episodes, in words."""
    n_episodes: int
    norm: str
    notes: list[str]
    reference: str
    several: bool
    """Whether more than one source was tested on."""
    backbone: str
    lead: list[str]
    conclusions: list[str]
    """What one may conclude."""
    limits: list[str]
    """And what not."""
    rows: list[facts.ImageRow]
    accuracy: list[Figure]
    ranks: list[tuple[str, Table]]
    curves: list[Figure]
    probe: Table
    settings: Table
    failures: list[tuple[str, str, str]]
    total_seconds: str
    phases: Pairs
    command: str
    provenance: Pairs


def write_report(directory: Path, name: str) -> Path:
    """Writes `report.html` into the directory of a comparison whose other files are there."""
    page = build_page(directory, name)
    path = directory / "report.html"
    path.write_text(render("images.html.jinja", specs([*page.accuracy, *page.curves]), page, HERE), encoding="utf-8", newline="\n")
    return path


def build_page(directory: Path, name: str) -> Page:
    """The view of a comparison."""
    summary, cost, environment, resolved = (read_json(directory / f"{file}.json") for file in ("summary", "cost", "environment", "spec"))
    of, chance = environment["run"], 1.0 / environment["run"]["n_way"]  # of the curves, whose episodes have one shape
    rows = facts.table_rows(summary, cost)
    settings = {(row.learner, row.k_shot): row.settings for row in rows}
    return Page(
        run=name,
        task=of["task"],
        shape=facts.shape(of),
        n_episodes=of["n_episodes"],
        norm=facts.NORMS[summary["norm"]],
        notes=of["notes"],
        reference=summary["reference"],
        several=len(of["sources"]) > 1,
        backbone=of["backbone"],
        lead=facts.lead(summary),
        conclusions=facts.conclusions(summary, of["task"]),
        limits=facts.limits(summary, resolved["spec"]),
        rows=rows,
        accuracy=accuracy_figures(summary, of["chance"]),
        ranks=[(f"K = {ranked['k_shot']}", rank_table(ranked)) for ranked in summary["ranks"]],
        curves=[curve_figure(i, of, chance) for i, of in enumerate(summary["curves"])],
        probe=probe_table(summary),
        settings=Table(("Learner", "K", "Hyper-parameters"), tuple((name, str(k), text) for (name, k), text in settings.items())),
        failures=facts.failures(summary),
        total_seconds=seconds(sum(cost["seconds"].values())),
        phases=tuple((phase, seconds(value)) for phase, value in cost["seconds"].items()),
        command=facts.command_line(resolved["spec"]),
        provenance=facts.provenance(resolved, environment, summary["spec_sha256"]),
    )


def accuracy_figures(summary: facts.Json, chance: dict[str, float]) -> list[Figure]:
    """One per K and source."""
    out = []
    for i, (k, source) in enumerate(dict.fromkeys((row["k_shot"], row["source"]) for row in summary["rows"])):
        rows = [row for row in summary["rows"] if (row["k_shot"], row["source"]) == (k, source)]
        shown = []
        for row in rows:
            low, high = row["accuracy"]["ci95"] or (None, None)
            shown.append({"learner": row["learner"], "mean": row["accuracy"]["mean"], "low": low, "high": high})
        label = f"Accuracy on {source}, K = {k}: " + "; ".join(f"{of['learner']} {number(of['mean'])}" for of in shown)
        cells = tuple((of["learner"], *(number(of[key]) if of[key] is not None else "" for key in ("mean", "low", "high"))) for of in shown)
        table = Table(("Learner", "Mean", "Low", "High"), cells)
        learners = [row["learner"] for row in rows]
        out.append(Figure(f"accuracy-{i}", f"{source}, K = {k}", label, charts.accuracy(shown, learners, chance[source]), table))
    return out


def rank_table(ranked: facts.Json) -> Table:
    """A row per learner, a column per source."""
    sources = list(ranked["by_source"])
    rows = tuple((name, *(f"{ranked['by_source'][s][name]:g}" for s in sources), f"{mean:.2f}") for name, mean in ranked["average"].items())
    return Table(("Learner", *sources, "Average rank"), rows)


def curve_figure(i: int, of: facts.Json, chance: float) -> Figure:
    """Accuracy over meta-training of one learner at one K."""
    names = [name for name in of["points"][0]["accuracy"] if name not in (FOLLOWS, IGNORES)]
    rows: list[dict[str, Any]] = [
        {"step": point["step"], "series": PARTS.get(name, name), "accuracy": point["accuracy"][name]}
        for point in of["points"]
        for name in names
    ]
    series = [PARTS.get(name, name) for name in names]
    title = f"{of['learner']}, K = {of['k_shot']}"
    last = of["points"][-1]["accuracy"]
    label = f"Accuracy over meta-training of {title}; at the end " + "; ".join(
        f"{PARTS.get(name, name)} {number(last[name])}" for name in names
    )
    cells = tuple((f"{point['step']:,}", *(number(point["accuracy"][name]) for name in names)) for point in of["points"])
    return Figure(f"curve-{i}", title, label, charts.curve(rows, series, chance), Table(("Step", *series), cells))


def probe_table(summary: facts.Json) -> Table:
    """The probe at the end of meta-training."""
    rows = tuple(
        (
            of["learner"],
            str(of["k_shot"]),
            number(last["validation"]) if "validation" in last else number(last["test"]),
            number(last[FOLLOWS]),
            number(last[IGNORES]),
        )
        for of in summary["curves"]
        for last in [of["points"][-1]["accuracy"]]
    )
    return Table(("Learner", "K", "Labels as drawn", "Shifted, right by the shifted", "Shifted, right by the old"), rows)
