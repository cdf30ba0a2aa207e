"""`report.html` and `report.md` of a comparison. Pure views of the files in the run's directory: both can be made again from them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compare.report import agreement, breakeven, course, curves, facts, figures, looks, shift, tuning
from compare.report.answers import Answers, read_answers
from compare.report.traced import Traced, traced
from icl.report.embed import render
from icl.report.facts import Pairs, seconds
from icl.report.figures import Figure, Table, specs
from icl.runs.files import read_json

HERE = Path(__file__).parent
SEARCH_HEAD = ("Learner", "K", "Configurations", "Episodes each", "Chosen", "Its accuracy there", "Time of the search")
BREAK_EVEN_HEAD = ("Learner", "K", "Accuracy to in-context", "FLOP, prompt alone", "FLOP, prompt kept", "Seconds, as it was run")
PREFIX_HEAD = ("In-context", "Alone, per query", "Kept, once per task", "Kept, per query")


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
    rows: list[facts.TextRow]
    keys: dict[str, list[looks.Key]]
    """The legend of all charts: kind → learners."""
    accuracy: list[Figure]
    differences: list[Figure]
    against_k: list[Figure]
    against_cost: list[Figure]
    steps: Table | None
    """Accuracy by number of gradient steps, where a search tried several."""
    traced: Traced
    """What was measured beside the comparison."""
    break_even: Table | None
    """None without in-context learning, or with nothing else."""
    costs: list[Figure]
    prefix: Table | None
    course: list[Figure]
    """Accuracy while learners are meta-trained."""
    course_table: Table | None
    permuted: Table | None
    places: Table | None
    """In and out of distribution; None where there is one place only."""
    elsewhere: Table | None
    agreement: list[Figure]
    shared_errors: list[str]
    overlap: Table | None
    hardest: Table
    largest_k: int
    """The K that the hardest queries and the reliability diagrams are for."""
    calibration: Table
    reliability: list[Figure]
    search: Table
    budget: Pairs
    against_window: list[Figure]
    """In-context accuracy by how full the window is; empty without in-context learning."""
    failures: list[tuple[str, str, str]]
    """Learner and K, episode, reason."""
    left_out: list[tuple[str, str]]
    """Learners that cannot run here, and why."""
    total_seconds: str
    phases: Pairs
    command: str
    provenance: Pairs

    @property
    def figures(self) -> list[Figure]:
        """All charts of the page."""
        first = (self.accuracy, self.differences, self.against_k, self.against_cost, self.costs, self.course)
        return [
            figure for group in (*first, self.agreement, self.reliability, self.against_window, self.traced.figures) for figure in group
        ]


def write_report(directory: Path, name: str) -> Path:
    """Writes `report.html` and `report.md` into the directory of a comparison whose other files are there; `name` is the run's name."""
    from compare.report.markdown import markdown

    page = build_page(directory, name)
    path = directory / "report.html"
    path.write_text(render("comparison.html.jinja", specs(page.figures), page, HERE), encoding="utf-8", newline="\n")
    (directory / "report.md").write_text(markdown(page), encoding="utf-8", newline="\n")
    return path


def build_page(directory: Path, name: str) -> Page:
    """The view of a comparison."""
    summary, cost, environment, resolved = (read_json(directory / f"{file}.json") for file in ("summary", "cost", "environment", "spec"))
    run: dict[str, Any] = environment["run"]
    episodes = [f"e{i:03d}" for i in range(run["n_episodes"])]
    ways = resolved["spec"].get("n_way") or len(run["labels"])  # runs from before have no n_way
    chance = 1.0 / ways
    prompts = breakeven.prompts(cost, run["n_queries"])
    others = list(breakeven.weights(cost, run["n_queries"]))
    answers = read_answers(directory)
    of: dict[int, list[Answers]] = {}
    for a in answers:
        of.setdefault(a.k_shot, []).append(a)
    largest = max(of)
    measured = traced(directory, summary, cost, chance)
    return Page(
        run=name,
        task=run["task"],
        model=facts.models(environment),
        labels=tuple(run["labels"]),
        ways=ways,
        split=run["split"],
        n_episodes=run["n_episodes"],
        n_queries=run["n_queries"],
        lead=facts.lead(summary),
        may_conclude=facts.may_conclude(summary),
        may_not_conclude=facts.may_not_conclude(summary, run["n_episodes"]),
        rows=facts.table_rows(summary, cost),
        keys=looks.keys([a.learner for a in answers]),
        accuracy=figures.accuracy_figures(summary, episodes, chance),
        differences=figures.difference_figures(summary, episodes),
        against_k=curves.against_k(summary, chance),
        against_cost=curves.against_cost(summary, cost, chance, run["n_queries"]),
        steps=tuning.steps_table(summary),
        traced=measured,
        break_even=_table(BREAK_EVEN_HEAD, curves.break_even_rows(summary, others, prompts)),
        costs=curves.cost_figures(summary, others, prompts),
        prefix=_table(PREFIX_HEAD, curves.prefix_rows(prompts)),
        course=course.course_figures(summary, chance),
        course_table=_table(course.COURSE_HEAD, course.course_rows(summary)),
        permuted=_table(course.PERMUTED_HEAD, course.permuted_rows(summary)),
        places=shift.places_table(summary),
        elsewhere=_table(shift.ELSEWHERE_HEAD, shift.elsewhere_rows(summary)),
        agreement=agreement.matrices(of),
        shared_errors=[agreement.shared_words(some) for some in of.values() if len(some) > 1],
        overlap=_table(agreement.OVERLAP_HEAD, agreement.overlap_rows(of)),
        hardest=agreement.hardest_table(of[largest]),
        largest_k=largest,
        calibration=Table(agreement.HEAD, agreement.calibration_rows(answers)),
        reliability=agreement.reliabilities(of[largest]),
        search=Table(SEARCH_HEAD, tuning.search_rows(summary, cost)),
        budget=tuning.budget_pairs(summary),
        against_window=curves.against_window(summary, cost, chance),
        failures=facts.failures(summary),
        left_out=facts.left_out(summary),
        total_seconds=seconds(sum(cost["seconds"].values())),
        phases=tuple((phase, seconds(value)) for phase, value in cost["seconds"].items()),
        command=facts.command_line(resolved["spec"], probes=measured.measured),
        provenance=facts.provenance(resolved, environment, summary["spec_sha256"]),
    )


def _table(head: tuple[str, ...], rows: tuple[tuple[str, ...], ...]) -> Table | None:
    return Table(head, rows) if rows else None
