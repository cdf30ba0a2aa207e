"""`report.html` and `report.md` of a tuning. Pure views of `tune.json` and `space.yaml`: both can be made again from them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from compare.tune.report import facts, figures
from compare.tune.report.markdown import markdown
from icl.report.embed import render
from icl.report.facts import Pairs, number
from icl.report.figures import Figure, Table, specs
from icl.runs.files import read_json, writing

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Method:
    """One search as the page shows it."""

    name: str
    setting: Pairs
    gain: str
    history: Figure
    importance: Figure | None
    trials: Table
    n_trials: int
    failures: list[tuple[str, str]]
    run: str


@dataclass(frozen=True)
class Page:
    """Everything that the template prints."""

    name: str
    task: str
    leads: list[tuple[str, str, str]]
    """Method, test accuracy, half its interval."""
    verdict: str
    methods: Table
    transductive: bool
    first: str
    """The method that the others are compared with; empty where it is alone."""
    tested: Figure
    n_test: int
    pareto: Figure | None
    searches: Table
    budget: str
    parts: list[Method]
    how: Pairs
    commands: list[str]
    space: str


def write_report(directory: Path) -> Path:
    """Writes both files into the directory of a tuning."""
    result, space = read_json(directory / "tune.json", "methods"), (directory / "space.yaml").read_text(encoding="utf-8")
    page = build_page(result, str(directory), space)
    of_methods = [figure for part in page.parts for figure in (part.history, part.importance) if figure]
    charts = specs([page.tested, *([page.pareto] if page.pareto else []), *of_methods])
    path = directory / "report.html"
    with writing(directory):
        path.write_text(render("tune.html.jinja", charts, page, HERE), encoding="utf-8", newline="\n")
        (directory / "report.md").write_text(markdown(result, str(directory)), encoding="utf-8", newline="\n")
    return path


def build_page(result: facts.Json, directory: str, space: str) -> Page:
    """The view of a tuning."""
    methods = result["methods"]
    return Page(
        name=result["tuning"],
        task=result["task"],
        leads=[_lead(of) for of in methods],
        verdict=facts.verdict(result),
        methods=Table(facts.METHOD_HEAD, facts.method_rows(result)),
        transductive=any(of["transductive"] for of in methods),
        first=methods[0]["method"] if len(methods) > 1 else "",
        tested=figures.tested(result),
        n_test=result["test"]["episodes"],
        pareto=figures.pareto(result),
        searches=Table(facts.SEARCH_HEAD, facts.search_rows(result)),
        budget=facts.budget(result),
        parts=[_part(of, result["chance"]) for of in methods],
        how=facts.how(result),
        commands=facts.commands(result, directory),
        space=space,
    )


def _lead(of: facts.Json) -> tuple[str, str, str]:
    interval = of["test"]["ci95"]
    return of["method"], number(of["test"]["mean"]), f"{(interval[1] - interval[0]) / 2:.3f}" if interval else ""


def _part(of: facts.Json, chance: float) -> Method:
    return Method(
        name=of["method"],
        setting=tuple((name, facts.value(value)) for name, value in of["settings"].items()),
        gain=facts.gain(of),
        history=figures.history(of, chance),
        importance=figures.importance(of),
        trials=facts.trial_table(of),
        n_trials=len(of["trials"]),
        failures=facts.failures(of),
        run=of["test"]["run"],
    )
