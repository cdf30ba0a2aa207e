"""`report.html` of a comparison: one self-contained page. A pure view of the files in the run's directory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compare.report import facts, figures
from icl.report.embed import render
from icl.report.facts import Pairs, seconds
from icl.report.figures import Figure, Table, specs
from icl.runs.files import read_json

HERE = Path(__file__).parent
SEARCH_HEAD = ("Learner", "K", "Configurations", "Episodes each", "Chosen", "Its accuracy there", "Time of the search")


@dataclass(frozen=True)
class Page:
    """Everything that the template prints."""

    run: str
    task: str
    model: str
    labels: tuple[str, ...]
    ways: int
    """Labels in play in an episode; fewer than there are when episodes draw some of them."""
    split: str
    n_episodes: int
    n_queries: int
    lead: list[str]
    may_conclude: str
    may_not_conclude: str
    rows: list[facts.Row]
    accuracy: list[Figure]
    differences: list[Figure]
    prefix: Table | None
    search: Table
    budget: Pairs
    failures: list[tuple[str, str, str]]
    """Learner and K, episode, reason."""
    total_seconds: str
    phases: Pairs
    command: str
    provenance: Pairs


def write_report(directory: Path, name: str) -> Path:
    """Writes `report.html` into the directory of a comparison whose other files are there; `name` is the run's name."""
    page = build_page(directory, name)
    path = directory / "report.html"
    text = render("comparison.html.jinja", specs([*page.accuracy, *page.differences]), page, HERE)
    path.write_text(text, encoding="utf-8", newline="\n")
    return path


def build_page(directory: Path, name: str) -> Page:
    """The view of a comparison."""
    summary, cost, environment, resolved = (read_json(directory / f"{file}.json") for file in ("summary", "cost", "environment", "spec"))
    run: dict[str, Any] = environment["run"]
    episodes = [f"e{i:03d}" for i in range(run["n_episodes"])]
    prefix = facts.prefix_rows(cost)
    ways = resolved["spec"].get("n_way") or len(run["labels"])  # runs from before have no n_way
    return Page(
        run=name,
        task=run["task"],
        model=run["model"],
        labels=tuple(run["labels"]),
        ways=ways,
        split=run["split"],
        n_episodes=run["n_episodes"],
        n_queries=run["n_queries"],
        lead=facts.lead(summary),
        may_conclude=facts.may_conclude(summary),
        may_not_conclude=facts.may_not_conclude(summary, run["n_episodes"]),
        rows=facts.table_rows(summary, cost),
        accuracy=figures.accuracy_figures(summary, episodes, 1.0 / ways),
        differences=figures.difference_figures(summary, episodes),
        prefix=Table(("In-context", "Alone, per query", "Kept, once per task", "Kept, per query"), prefix) if prefix else None,
        search=Table(SEARCH_HEAD, facts.search_rows(summary, cost)),
        budget=facts.budget_pairs(summary),
        failures=facts.failures(summary),
        total_seconds=seconds(sum(cost["seconds"].values())),
        phases=tuple((phase, seconds(value)) for phase, value in cost["seconds"].items()),
        command=facts.command_line(resolved["spec"]),
        provenance=facts.provenance(resolved, environment, summary["spec_sha256"]),
    )
