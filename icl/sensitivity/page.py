"""`report.html` of a sensitivity run: one self-contained page. A pure view of the files in the run's directory."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from icl.report import facts
from icl.report.embed import render
from icl.report.figures import Figure, Table, specs
from icl.runs.files import read_json, writing
from icl.sensitivity import figures
from icl.sensitivity import sentences as say
from icl.sensitivity.figures import Stacked
from icl.spec import ResolvedSpec, RunSpec

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Page:
    """Everything that the template prints."""

    run: str
    task: str
    model: str
    split: str
    design: Mapping[str, int]
    shots: int
    n_cells: int
    n_queries: int
    n_evaluations: int
    guess: float | None
    first: str
    """The calibration under which formats were searched."""
    lead: str
    besides: str
    overview: Stacked
    shares: Figure
    parts: Mapping[str, Stacked]
    templates: list[Figure]
    draws: list[Figure]
    orders: str
    copies: Figure | None
    positions: Table | None
    formats: Mapping[str, Any] | None
    formats_table: Table | None
    search: str
    cost: facts.CostView
    command: str
    provenance: facts.Pairs

    @property
    def figures(self) -> list[Figure]:
        """All charts of the page."""
        return [self.shares, *self.templates, *self.draws, *([self.copies] if self.copies else [])]


def write_report(directory: Path, name: str) -> Path:
    """Writes `report.html` into the directory of a run whose other files are there; `name` is the run's name."""
    page = build_page(directory, name)
    path = directory / "report.html"
    with writing(path):
        path.write_text(render("sensitivity.html.jinja", specs(page.figures), page, HERE), encoding="utf-8", newline="\n")
    return path


def build_page(directory: Path, name: str) -> Page:
    """The view of a run."""
    summary, cost, environment, spec = (read_json(directory / f"{file}.json") for file in ("summary", "cost", "environment", "spec"))
    run, calibrations, formats = environment["run"], summary["calibrations"], summary["formats"]
    cells = pq.read_table(directory / "cells.parquet").to_pylist()
    first = next(iter(calibrations.values()))
    guess = 1 / len(run["labels"]) if run["labels"] else None
    design = summary["design"]
    return Page(
        run=name,
        task=run["task"],
        model=run["model"],
        split=run["split"],
        design=design,
        shots=spec["spec"]["run"]["shots"],
        n_cells=run["n_cells"],
        n_queries=run["n_queries"],
        n_evaluations=run["n_evaluations"],
        guess=guess,
        first=figures.titled(next(iter(calibrations))),
        lead=say.headline(first),
        besides=say.besides(first["measures"]["accuracy"], run["n_queries"]),
        overview=figures.overview(calibrations),
        shares=figures.shares(calibrations),
        parts={figures.titled(of): figures.parts(found, design) for of, found in calibrations.items()},
        templates=list(figures.by_group(cells, "template", list(calibrations), guess)) if design["templates"] > 1 else [],
        draws=list(figures.by_group(cells, "draw", list(calibrations), guess)),
        orders=say.orders_sentence(calibrations),
        copies=figures.copies(calibrations),
        positions=figures.positions(calibrations),
        formats=formats,
        formats_table=_formats(formats) if formats else None,
        search=say.search_sentence(formats) if formats else "",
        cost=facts.cost_view(cost),
        command=command_line(spec["spec"]),
        provenance=facts.provenance(ResolvedSpec.from_json(spec["resolved_run"]), environment, summary["spec_sha256"]),
    )


def _formats(formats: Mapping[str, Any]) -> Table:
    rows = tuple(
        (
            of["role"],
            "" if of["found"] is None else facts.percent(of["found"]),
            facts.percent(of["accuracy"]),
            say.span(of["ci95"]),
            of["description"],
        )
        for of in formats["confirmed"]
    )
    return Table(("Format", "Where it was found", "On the other queries", "95\u202f% CI", "Differs from the usual by"), rows)


OF_THE_DESIGN = ("draws", "orders", "templates", "formats", "words", "budget")
NOT_ASKED = ("task", "episodes", "order", "labels", "embedder", "overflow", "chat", "device_map")
"""Values of an evaluation's spec that `icl sensitivity` has no option for."""


def command_line(spec: Mapping[str, Any]) -> str:
    """The command that makes this run again; options that have an evaluation's default are left out."""
    words = ["icl", "sensitivity", spec["run"]["task"]]
    default = RunSpec("").to_json()
    asked = {name: value for name, value in spec["run"].items() if name not in NOT_ASKED}
    differing = {name: value for name, value in asked.items() if value != default[name] or name in ("model", "shots", "seed")}
    for name, value in {**differing, "queries": asked["queries"], **{name: spec[name] for name in OF_THE_DESIGN}}.items():
        option = f"--{name.replace('_', '-')}"
        text = ",".join(value) if isinstance(value, list) else "all" if value is None else str(value)
        words += [option] if value is True else [option, text]
    return shlex.join(words)
