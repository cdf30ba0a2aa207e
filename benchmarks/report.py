"""What a benchmark run leaves: `performance-results.md`, `.json` and `.svg`."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.growing import Size, exponent
from benchmarks.measure import FLOOR, OURS, Measured, Outcome

NAME = "performance-results"


@dataclass(frozen=True)
class Results:
    """Everything that one command measured."""

    machine: dict[str, Any]
    settings: dict[str, Any]
    measured: list[Measured]
    growth: list[Size]
    left_out: dict[str, str]
    """Program or workload → why."""


def write(results: Results, out: Path) -> list[Path]:
    """The three files (the chart only when something was measured); returns their paths."""
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / f"{NAME}.md", out / f"{NAME}.json"]
    paths[0].write_text(markdown(results), encoding="utf-8")
    paths[1].write_text(json.dumps(as_json(results), indent=1) + "\n", encoding="utf-8")
    if results.measured:
        paths.append(out / f"{NAME}.svg")
        paths[-1].write_text(chart(results.measured), encoding="utf-8")
    return paths


def as_json(results: Results) -> dict[str, Any]:
    """Every number of every round."""
    return {
        "machine": results.machine,
        "settings": results.settings,
        "workloads": [
            {
                "name": m.workload.name,
                "title": m.workload.title,
                "queries": len(m.workload.contexts),
                "sequences": len(m.workload.sequences),
                "tokens_unique": m.tokens_unique,
                "tokens_total": m.workload.tokens_total,
                "engine_work": m.work,
                "dense_tokens_per_second": m.dense,
                "seconds_by_dense_seconds": m.against_dense(),
                "programs": {
                    name: {**asdict(outcome), "times_icl": m.ratio(name, OURS), "times_floor": m.ratio(name, FLOOR)}
                    for name, outcome in m.outcomes.items()
                },
            }
            for m in results.measured
        ],
        "growth": {"sizes": [asdict(s) for s in results.growth], "exponent": exponent(results.growth)} if results.growth else None,
        "left_out": results.left_out,
    }


def markdown(results: Results) -> str:
    """The tables."""
    machine, settings = results.machine, results.settings
    lines = ["# Measured speed", "", "Written by `python benchmarks/run.py`; what it means stands in `docs/performance.md`.", ""]
    if settings["scale"] != 1:
        lines += [f"**A trial at scale {settings['scale']:g}: not to be quoted.**", ""]
    lines += [
        f"{settings['model']}, {settings['dtype']}; {machine['cpu']}, {machine['cores']} cores, {machine['torch_threads']} torch threads; "
        f"{settings['rounds']} rounds, the programs taking turns. Seconds are medians and cover scoring alone, with the model loaded and "
        "warm and nothing cached; ratios are medians of ratios within a round. The floor is the matrix products that the distinct tokens "
        "cannot do without, at the best rate of the same round. *Difference*: the largest difference to the score of `icl`, in nats per "
        "scored token; *same*: share of queries with the same likeliest candidate, or the same text. "
        "`≈`: measured on the number of queries given, extrapolated by tokens.",
        "",
        *(f"- {name}: {', '.join(f'{p} {v}' for p, v in found.items())}" for name, found in machine["versions"].items()),
    ]
    for m in results.measured:
        lines += ["", *_workload(m)]
    if results.growth:
        lines += ["", *_growth(results.growth)]
    if results.left_out:
        lines += ["", "## Left out", "", *(f"- {name}: {why}" for name, why in results.left_out.items())]
    return "\n".join(lines) + "\n"


def _workload(m: Measured) -> list[str]:
    lines = [
        f"## {m.workload.name}: {m.workload.title}",
        "",
        f"{len(m.workload.contexts):,} queries, {len(m.workload.sequences):,} sequences, {m.tokens_unique:,} unique of "
        f"{m.workload.tokens_total:,} tokens." + _dense(m),
        "",
        "| program | seconds | × icl | × floor | unique tokens/s | difference | same | how |",
        "|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    for name, outcome in m.outcomes.items():
        seconds = statistics.median(outcome.seconds)
        cells = [
            name, f"{'≈ ' if outcome.extrapolated > 1 else ''}{_short(seconds)}", _short(m.ratio(name, OURS)), _short(m.ratio(name, FLOOR)),
            f"{m.tokens_unique / seconds:,.0f}", "" if outcome.difference is None else f"{outcome.difference:.3g}",
            "" if outcome.same is None else f"{outcome.same:.1%}", _how(name, outcome),
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _dense(m: Measured) -> str:
    if not m.dense:
        return ""
    best = f" Best dense forward pass of the run: {max(m.dense):,.0f} tokens/s"
    if m.workload.generates:
        return f"{best}."
    return f"{best}; icl takes {_short(m.against_dense())} × what the unique tokens would take at the round's best."


def _how(name: str, outcome: Outcome) -> str:
    found = outcome.details
    parts = [f"batch {found['batch']}"] if "batch" in found else []
    if "requests" in found:
        parts.append(f"{found['requests']:,} requests of one token")
    if found.get("same_tokens", 1.0) < 1:
        parts.append(f"same token ids in {found['same_tokens']:.1%}")
    if outcome.extrapolated > 1:
        parts.append(f"from {outcome.queries} {'query' if outcome.queries == 1 else 'queries'}")
    if name == FLOOR:
        rates = found["rates"]
        parts.append(f"products of {1 / rates['per_token']:,.0f} tokens/s")
    return ", ".join(parts)


def _growth(sizes: Sequence[Size]) -> list[str]:
    rows = [
        f"| {s.queries:,} | {s.tokens_unique:,} | {_short(statistics.median(s.seconds))} "
        f"| {s.tokens_unique / statistics.median(s.seconds):,.0f} | {_short(statistics.median(s.planning))} | {s.peak_bytes / 2**20:,.0f} |"
        for s in sizes
    ]
    spread = max(s.peak_bytes for s in sizes) / min(s.peak_bytes for s in sizes) - 1
    return [
        "## Growth: more queries after the same 16 demonstrations", "",
        f"Seconds grow with unique tokens to the power {exponent(sizes):.3f}; the largest peak of memory is {spread:.0%} above the "
        "smallest. `icl evaluate` as a whole: planning, tables and report are in the peak.", "",
        "| queries | unique tokens | scoring, s | unique tokens/s | waiting for the planner, s | peak memory, MiB |",
        "|---:|---:|---:|---:|---:|---:|", *rows,
    ]  # fmt: skip


def chart(measured: Sequence[Measured]) -> str:
    """Seconds by workload and program on a logarithmic axis, as SVG; hollow where extrapolated."""
    import altair as alt
    import vl_convert

    rows = [
        {"workload": m.workload.name, "program": name, "seconds": statistics.median(o.seconds), "extrapolated": o.extrapolated > 1}
        for m in measured
        for name, o in m.outcomes.items()
    ]
    programs = list(dict.fromkeys(row["program"] for row in rows))
    colour = alt.Color("program:N", sort=programs, scale=alt.Scale(domain=programs, scheme="tableau10"), legend=alt.Legend(title=None))
    y = alt.Y("workload:N", title=None, axis=alt.Axis(grid=True, ticks=False, domain=False, labelFontSize=13))
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        y=y,
        x=alt.X("seconds:Q", scale=alt.Scale(type="log"), title="seconds (hollow: extrapolated)", axis=alt.Axis(format="~g", tickCount=6)),
        color=colour,
    )
    points = alt.layer(
        base.transform_filter("!datum.extrapolated").mark_point(filled=True, size=130, opacity=1),
        base.transform_filter("datum.extrapolated").mark_point(filled=False, size=130, strokeWidth=2),
    ).properties(width=560, height=46 * len(measured), background="white")
    return str(vl_convert.vegalite_to_svg(points.to_dict()))


def _short(value: float | None) -> str:
    """Three figures."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
