"""`report.html`, `report.md` and `sweep.json` of a sweep, beside its file: a view of its finished runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from icl.report.embed import render
from icl.report.facts import Pairs
from icl.report.figures import Figure, specs
from icl.runs.files import write_json, writing
from icl.sweep.analysis import Analysis, analyse
from icl.sweep.report import facts, figures, sentences
from icl.sweep.report.markdown import markdown
from icl.sweep.results import Results
from icl.sweep.settings import word
from icl.sweep.tojson import to_json

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Part:
    """One group as the page shows it."""

    heading: str
    """Task and split; empty where there is one group."""
    of: Analysis
    title: str
    best: str
    best_value: str
    best_margin: str
    guess: float | None
    names: list[str]
    lines: list[facts.Line]
    sentences: list[str]
    warning: str
    command: str
    needed: str
    curves: list[Figure]
    heat_maps: list[Figure]
    left_out: int
    """Pairs of fields without a heat map, because there are too many."""
    marginals: dict[str, list[facts.MarginalLine]]
    unmatched: list[str]
    """Values that the marginal means leave out, because they never meet the others in equal settings."""


@dataclass(frozen=True)
class Page:
    """Everything that the template prints."""

    name: str
    run: str
    n_cells: int
    fields: dict[str, str]
    fixed: Pairs
    parts: list[Part]
    failures: list[tuple[str, str]]
    cost: Pairs
    file: str
    """The sweep file's text."""


def write_report(results: Results) -> list[Analysis]:
    """Writes the files, and returns the statistics that they show."""
    groups = [analyse(group) for group in results.groups]
    parts = [_part(of, i, several=len(groups) > 1) for i, of in enumerate(groups)]
    page = Page(
        name=results.plan.sweep.name,
        run=results.name,
        n_cells=len(results.plan.sweep.cells),
        fields=dict(facts.by_field(results)),
        fixed=facts.fixed(results),
        parts=parts,
        failures=facts.failures(results),
        cost=facts.cost_pairs(results),
        file=results.plan.sweep.text,
    )
    text = render("sweep.html.jinja", specs([figure for part in parts for figure in (*part.curves, *part.heat_maps)]), page, HERE)
    with writing(results.dir):
        results.dir.mkdir(parents=True, exist_ok=True)
        (results.dir / "report.html").write_text(text, encoding="utf-8", newline="\n")
        (results.dir / "sweep.yaml").write_text(results.plan.sweep.text, encoding="utf-8", newline="\n")
        (results.dir / "report.md").write_text(markdown(results, groups), encoding="utf-8", newline="\n")
    write_json(results.dir / "sweep.json", to_json(results, groups))
    return groups


def _part(of: Analysis, number: int, *, several: bool) -> Part:
    group, title, guess = of.group, facts.title(of), facts.guess(of)
    best = group.rows[0]
    curves = figures.curves(of, f"g{number}", title, guess)
    heat_maps = figures.heat_maps(of, f"g{number}", title)
    margin = (best.ci95[1] - best.ci95[0]) / 2 if best.ci95 else None
    share = group.metric in ("accuracy", "exact_match")
    return Part(
        heading=f"{group.task}, {group.split} split" if several else "",
        of=of,
        title=title,
        best=sentences.best_words(of),
        best_value=facts.percent_of(of, best.mean),
        best_margin="" if margin is None else f"{100 * margin:.1f}" if share else f"{margin:.3f}",
        guess=guess,
        names=list(group.fields),
        lines=facts.lines(of),
        sentences=_said([sentences.tied(of), sentences.verdict(of), sentences.duel_words(of), sentences.held_out_words(of)]),
        warning=sentences.warning(of),
        command=sentences.confirm_command(of),
        needed=sentences.needed_words(of),
        curves=curves,
        heat_maps=heat_maps,
        left_out=len(of.surfaces) - len(heat_maps),
        marginals=facts.marginal_lines(of),
        unmatched=_unmatched(of),
    )


def _unmatched(of: Analysis) -> list[str]:
    shown = {name: {m.values[0] for m in found} for name, found in of.marginals.items()}
    return [
        f"{name} {word(name, value)}" for name, values in of.group.fields.items() for value in values if value not in shown.get(name, ())
    ]


def _said(sentences: Sequence[str]) -> list[str]:
    return [sentence for sentence in sentences if sentence]
