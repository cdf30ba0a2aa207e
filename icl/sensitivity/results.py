"""From scored cells to `summary.json` and the tables. Pure functions: no model, no randomness beyond keyed draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from icl.metrics import Outcome
from icl.runs.files import writing
from icl.runs.tables import PREDICTIONS, Rows
from icl.sensitivity.bias import Bias, measure_bias
from icl.sensitivity.components import Decomposition, decompose
from icl.sensitivity.design import Plan
from icl.sensitivity.measure import MEASURES
from icl.sensitivity.orders import OrderSpread, order_spread
from icl.sensitivity.search import Spread
from prompts import Template
from prompts.format_space import Format
from tasks import Example

Json = dict[str, Any]

CELLS = pa.schema(
    [
        ("cell", pa.string()),
        ("draw", pa.int32()),
        ("order", pa.int32()),
        ("template", pa.string()),
        ("format", pa.int32()),
        ("words", pa.string()),
        ("calibration", pa.string()),
        *((name, pa.float64()) for name in MEASURES),
        ("demonstrations", pa.list_(pa.string())),
    ]
)
FORMATS = pa.schema(
    [
        ("format", pa.int32()),
        ("description", pa.string()),
        ("queries", pa.int32()),  # answered where it was looked for
        ("accuracy", pa.float64()),
        ("margin", pa.float64()),
        ("source", pa.string()),  # a template file that writes it
    ]
)


@dataclass(frozen=True)
class Scored:
    """A calibration's outcomes of all cells."""

    plan: Plan
    outcomes: tuple[Outcome, ...]
    """In the order of `plan.cells()`."""

    def values(self, measure: str) -> NDArray[np.float64]:
        """(draw, order, template, format, words, query)."""
        return np.stack([MEASURES[measure](of) for of in self.outcomes]).reshape(*self.plan.shape, -1)

    def predicted(self) -> NDArray[np.int64]:
        """(draw, order, wording, query): columns of the predicted candidates."""
        draws, orders = self.plan.shape[:2]
        return np.stack([of.predicted for of in self.outcomes]).reshape(draws, orders, len(self.plan.wordings), -1)


@dataclass(frozen=True)
class Finding:
    """What is known under one calibration."""

    decompositions: Mapping[str, Decomposition]
    orders: OrderSpread | None
    bias: Bias | None
    """None unless the task has a label set."""
    templates: Mapping[str, float]
    """Mean accuracy over all cells of a template."""
    draws: tuple[float, ...]

    def to_json(self) -> Json:
        """Plain values."""
        return {
            "measures": {name: of.to_json() for name, of in self.decompositions.items()},
            "orders": self.orders.to_json() if self.orders else None,
            "bias": self.bias.to_json() if self.bias else None,
            "templates": dict(self.templates),
            "draws": list(self.draws),
        }


def finding(scored: Scored, calibration: str, queries: Sequence[Example], labels: Sequence[str]) -> Finding:
    """Decompositions, order spread and biases. `labels` is the task's label set."""
    values = {name: scored.values(name) for name in MEASURES}
    accuracy = values["accuracy"].mean(axis=-1)
    names = list(dict.fromkeys(wording.name for wording in scored.plan.wordings))
    bias = measure_bias(scored.predicted(), scored.plan.contexts, queries, labels) if labels else None
    return Finding(
        decompositions={name: decompose(of, f"{calibration} {name}") for name, of in values.items()},
        orders=order_spread(accuracy),
        bias=bias,
        templates=dict(zip(names, accuracy.mean(axis=(0, 1, 3, 4)).tolist(), strict=True)),
        draws=tuple(accuracy.mean(axis=(1, 2, 3, 4)).tolist()),
    )


def summary_json(
    spec_sha256: str,
    findings: Mapping[str, Finding],
    spread: Spread | None,
    formats: Sequence[tuple[Format, Template]],
    plan: Plan,
    shown: Callable[[int], str],
) -> Json:
    """`summary.json`: the spec's hash and the results; nothing that was timed. `shown`: a format's number → a prompt in it."""
    return {
        "spec_sha256": spec_sha256,
        "design": dict(zip(("draws", "orders", "templates", "formats", "words"), plan.shape, strict=True)),
        "calibrations": {name: of.to_json() for name, of in findings.items()},
        "formats": _spread_json(spread, formats, shown) if spread else None,
    }


def _spread_json(spread: Spread, formats: Sequence[tuple[Format, Template]], shown: Callable[[int], str]) -> Json:
    return {
        "tried": len(formats),
        "spread_where_found": spread.found,
        "spread": spread.honest,
        "ci95": list(spread.ci95),
        "confirmed": [
            {
                **asdict(of),
                "ci95": list(of.ci95),
                "description": formats[of.format][0].in_words(),
                "source": formats[of.format][1].source,
                "prompt": shown(of.format),
            }
            for of in spread.confirmed
        ],
    }


def cell_rows(plan: Plan, scored: Mapping[str, Scored]) -> Rows:
    """One row per cell and calibration."""
    return [
        {
            "cell": cell.name,
            "draw": cell.context.draw,
            "order": cell.context.order,
            "template": cell.wording.name,
            "format": cell.wording.place[1],
            "words": cell.wording.words,
            "calibration": calibration,
            **{name: float(measure(outcome).mean()) for name, measure in MEASURES.items()},
            "demonstrations": [example.id for example in cell.context.shown],
        }
        for calibration, of in scored.items()
        for cell, outcome in zip(plan.cells(), of.outcomes, strict=True)
    ]


def format_rows(spread: Spread, formats: Sequence[tuple[Format, Template]]) -> Rows:
    """One row per format that was tried, best first."""
    return [{**asdict(of), "description": formats[of.format][0].in_words(), "source": formats[of.format][1].source} for of in spread.tried]


SCHEMAS = {"cells": CELLS, "formats": FORMATS, "scores": PREDICTIONS}


def write_table(directory: Path, name: str, rows: Rows) -> None:
    """One Parquet file of `SCHEMAS`."""
    path = directory / f"{name}.parquet"
    with writing(path):
        pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMAS[name]), path, compression="zstd")
