"""The words and numbers of a report that need no chart: headline, table of metrics, cost, losses, provenance."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from icl.metrics import METRICS
from icl.spec import ResolvedSpec, RunSpec

NAMES = {
    "accuracy": "Accuracy",
    "macro_f1": "Macro F1",
    "mcc": "Matthews correlation",
    "nll": "Negative log-likelihood",
    "ece": "Calibration error",
    "label_bias": "Label bias",
    "exact_match": "Exact match",
    "token_f1": "Token F1",
}
MAIN = ("exact_match", "accuracy")
"""What a headline tells, first one first."""
ALWAYS = ("model", "shots", "episodes", "queries", "seed")
"""Options that the command line names even where they have their default."""

Metrics = Mapping[str, Mapping[str, Mapping[str, Any]]]
Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Cell:
    """A metric under one calibration."""

    mean: str
    interval: str
    bootstrap: str
    worst: str
    best: str


@dataclass(frozen=True)
class MetricsTable:
    """Metrics down, calibrations across."""

    columns: tuple[tuple[str, bool], ...]
    """Calibration, whether it is transductive."""
    rows: tuple[tuple[str, bool, tuple[Cell | None, ...]], ...]
    """Name, whether higher is better, cells."""


@dataclass(frozen=True)
class Claim:
    """One part of the headline sentence."""

    metric: str
    calibration: str
    value: str
    margin: str


def claims(metrics: Metrics) -> tuple[Claim, ...]:
    """The main metrics of every calibration, as percentages with half their interval."""
    found = [(metric, name, of[metric]) for metric in MAIN for name, of in metrics.items() if metric in of]
    return tuple(Claim(metric, name, percent(estimate["mean"]), _margin(estimate)) for metric, name, estimate in found)


def metrics_table(metrics: Metrics, transductive: Mapping[str, bool]) -> MetricsTable:
    """Every estimate, in the order of `icl.metrics.METRICS`."""
    present = [name for name in METRICS if any(name in of for of in metrics.values())]
    rows = tuple(
        (NAMES[name], METRICS[name].higher_is_better, tuple(_cell(name, of[name]) if name in of else None for of in metrics.values()))
        for name in present
    )
    return MetricsTable(tuple((calibration, transductive[calibration]) for calibration in metrics), rows)


def _cell(metric: str, estimate: Mapping[str, Any]) -> Cell:
    ends = sorted(estimate["per_episode"], reverse=not METRICS[metric].higher_is_better)
    several = len(ends) > 1
    return Cell(
        mean=number(estimate["mean"]),
        interval=_span(estimate["ci95"]),
        bootstrap=_span(estimate.get("bootstrap95")),
        worst=number(ends[0]) if several else "",
        best=number(ends[-1]) if several else "",
    )


def _span(interval: Sequence[float] | None) -> str:
    return f"{number(interval[0])} to {number(interval[1])}" if interval else ""


def _margin(estimate: Mapping[str, Any]) -> str:
    interval = estimate["ci95"]
    return f"{100 * (interval[1] - interval[0]) / 2:.1f}" if interval else ""


def number(value: float) -> str:
    """Three decimals, a real minus sign, no negative zero."""
    text = f"{value:.3f}"
    return "0.000" if text == "-0.000" else text.replace("-", "−")


def percent(share: float) -> str:
    """One decimal, with a narrow space that does not break."""
    return f"{100 * share:.1f}\u202f%"


def seconds(value: float) -> str:
    """0.42 s, 12.3 s, 3 min 20 s."""
    if value >= 60:
        return f"{int(round(value)) // 60} min {int(round(value)) % 60} s"
    return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"


def scaled(value: float, unit: str = "") -> str:
    """1,234 below ten thousand, above it three digits and a prefix: 12.3 T."""
    if value < 10_000:
        return f"{value:,.0f}{' ' + unit if unit else ''}"
    for prefix in ("k", "M", "G", "T", "P", "E"):
        value /= 1000
        if value < 999.5:
            break
    digits = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{digits}f} {prefix}{unit}"


@dataclass(frozen=True)
class CostView:
    """What the run cost."""

    pairs: Pairs
    phases: tuple[tuple[str, str, float], ...]
    """Phase, seconds in words, share of the longest in percent."""


def cost_view(cost: Mapping[str, Any]) -> CostView:
    """Tokens, FLOPs, seconds by phase, peak memory."""
    unique, total = cost["tokens_unique"], cost["tokens_total"]
    saved = f"{total / unique:.1f} times fewer than the total" if unique else ""
    pairs = (
        ("Tokens of all prompts", f"{total:,}"),
        ("Tokens computed", f"{unique:,}{', ' + saved if saved else ''}"),
        ("Floating-point operations", scaled(cost["flops"], "FLOP")),
        ("Peak memory", f"{cost['peak_memory_bytes'] / 2**30:.2f} GiB"),
        ("Time", seconds(sum(cost["seconds"].values()))),
    )
    longest = max(cost["seconds"].values(), default=0.0) or 1.0
    return CostView(pairs, tuple((name, seconds(value), 100 * value / longest) for name, value in cost["seconds"].items()))


def command_line(spec: RunSpec) -> str:
    """The command that makes this run again; options that have their default are left out, but for the telling ones."""
    words = ["icl", "evaluate", spec.task]
    for f in fields(RunSpec):
        value = getattr(spec, f.name)
        if f.name == "task" or (value == f.default and f.name not in ALWAYS):
            continue
        option = f"--{f.name.replace('_', '-')}"
        if isinstance(value, bool):
            words.append(option)
        elif isinstance(value, tuple):
            words += [option, ",".join(value)]
        else:
            words += [option, "all" if value is None else str(value)]
    return shlex.join(words)


def provenance(resolved: ResolvedSpec, environment: Mapping[str, Any], spec_sha256: str) -> Pairs:
    """What the run was made with; what is unknown is left out."""
    model, template, data, engine = (environment[name] for name in ("model", "template", "data", "engine"))
    packages = ", ".join(f"{name} {version}" for name, version in environment["packages"].items() if version)
    pairs = (
        ("Model", f"{model['name']}: {model['description']}" if model.get("description") else model["name"]),
        ("Model notes", "; ".join(model.get("notes", ()))),
        ("Model fingerprint", resolved.model_fingerprint),
        ("Data", f"{data['source']} ({data['licence']})"),
        ("Data fingerprint", resolved.task_fingerprint),
        ("Template", template["name"]),
        ("Template sha256", resolved.template_sha256),
        ("Episodes sha256", resolved.episodes_sha256),
        ("Spec sha256", spec_sha256),
        ("Device", f"{environment['device']} ({environment['device_name']})"),
        ("Precision", environment["dtype"]),
        ("Engine", f"{engine['back_end']}, {engine['path']}"),
        ("Engine notes", "; ".join(engine.get("notes", ()))),
        ("Platform", f"{environment['platform']}, Python {environment['python']}"),
        ("Packages", packages),
        ("Git revision", environment.get("git_revision") or ""),
    )
    return tuple((name, str(value)) for name, value in pairs if value)
