"""A fabricated sensitivity run for the tests of its report: no model; scores are drawn, with a biased model and a template that fails."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from report_runs import EVIL, LABELS, sentiment_run

from icl.calibration.types import normalise
from icl.metrics import Outcome
from icl.runs import write_json
from icl.runs.files import read_json
from icl.sensitivity.design import Context, Plan, Wording
from icl.sensitivity.results import Scored, cell_rows, finding, summary_json, write_table
from icl.sensitivity.search import Confirmed, Spread, Tried
from icl.sensitivity.spec import ResolvedSensitivity, SensitivitySpec
from icl.spec import ResolvedSpec
from prompts import load_template
from prompts.format_space import layout_of
from tasks import Example

SHAPE = (5, 2, 3, 2, 2)
QUERIES = 24


def sensitivity_run(directory: Path) -> Path:
    """All files but the report; returns the directory."""
    sentiment_run(directory)
    rng = np.random.default_rng(3)
    queries = [Example(f"q{i}", {"text": f"a film number {i}"}, LABELS[i % 2]) for i in range(QUERIES)]
    plan = _plan()
    scored = {
        name: Scored(plan, tuple(_outcome(rng, cell.name, queries, bias) for cell in plan.cells()))
        for name, bias in (("none", 1.2), ("batch", 0.2))
    }
    resolved = ResolvedSpec.from_json(read_json(directory / "spec.json"))
    spec = SensitivitySpec(replace(resolved.spec, overflow="error"), draws=5, templates=("a", "b", EVIL), words=("own", "title"))
    ours = ResolvedSensitivity(spec, resolved, ("0" * 64,))
    write_json(directory / "spec.json", ours.to_json())
    environment = read_json(directory / "environment.json")
    facts = {**environment["run"], "n_queries": QUERIES, "n_cells": len(plan), "n_evaluations": len(plan) * QUERIES + 400}
    write_json(directory / "environment.json", {**environment, "run": facts})
    layout = layout_of(load_template("sentiment-plain"))
    formats = [(form, layout.write(form)) for form in layout.formats(4, 0)]
    confirmed = tuple(Confirmed(role, i, 0.8 - i / 10, 0.7, (0.6, 0.8)) for i, role in enumerate(("best", "worst", "median", "own")))
    spread = Spread(tuple(Tried(i, 12, 0.8 - i / 10, 0.1) for i in range(4)), confirmed, 0.3, 0.08, (-0.05, 0.21))
    findings = {name: finding(of, name, queries, LABELS) for name, of in scored.items()}
    write_json(
        directory / "summary.json", summary_json(ours.hash(), findings, spread, formats, plan, lambda form: f"Text: {EVIL}\nSentiment:")
    )
    write_table(directory, "cells", cell_rows(plan, scored))
    return directory


def _plan() -> Plan:
    draws, orders, templates, formats, words = SHAPE
    shown = tuple(Example(f"d{i}", {"text": f"film {i}"}, LABELS[i % 2]) for i in range(3))
    template = load_template("sentiment-plain")
    names = ("sentiment-plain", "a-template-with-a-rather-long-name", EVIL)
    return Plan(
        tuple(Context(d, o, (0, 1, 2), shown[o:] + shown[:o]) for d in range(draws) for o in range(orders)),
        tuple(
            Wording((t, f, w), names[t], template, None, "own", LABELS)
            for t in range(templates)
            for f in range(formats)
            for w in range(words)
        ),
        SHAPE,
    )


def _outcome(rng: np.random.Generator, name: str, queries: list[Example], bias: float) -> Outcome:
    lean = bias * (1 + int(name[1])) / 4 + (2.0 if ".t2." in name else 0.0)
    target = np.array([LABELS.index(example.target) for example in queries])
    scores = rng.normal(0, 1, (len(queries), 2)) + 1.5 * (np.arange(2) == target[:, None]) + [0, lean]
    return Outcome(normalise(scores), target, tuple(example.id for example in queries), LABELS)
