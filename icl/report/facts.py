"""The words and numbers of a report that need no chart: headline, table of metrics, cost, losses, provenance."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from icl.metrics import METRICS
from icl.spec import ResolvedSpec, RunSpec

NAMES = {
    "exact_match": "Exact match",
    "token_f1": "Token F1",
    "accuracy": "Accuracy",
    "macro_f1": "Macro F1",
    "mcc": "Matthews correlation",
    "nll": "Negative log-likelihood",
    "ece": "Calibration error",
    "label_bias": "Label bias",
}
MAIN = ("exact_match", "accuracy")
"""What a headline tells, first one first."""
ALWAYS = ("model", "shots", "episodes", "queries", "seed")
"""Options that the command line names even where they have their default."""
OF_THE_EPISODES = ("episodes", "queries", "split", "pool")
"""Options that an episodes file stands for."""

PREFIXES = "kMGTPE"

Metrics = Mapping[str, Mapping[str, Mapping[str, Any]]]
Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Cell:
    """A metric under one calibration."""

    mean: str
    interval: str
    bootstrap: str
    ends: str
    """Worst and best episode; empty for one episode."""


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

    value: str
    margin: str
    """Half the interval; empty for one episode."""
    how: str
    """Under which calibration, as the sentence says it."""


def claims(metrics: Metrics) -> dict[str, tuple[Claim, ...]]:
    """Main metric → every calibration's percentage, to be joined by commas and a last "and"."""
    return {metric: _claims(metric, metrics) for metric in MAIN if any(metric in of for of in metrics.values())}


def _claims(metric: str, metrics: Metrics) -> tuple[Claim, ...]:
    names = [name for name, of in metrics.items() if metric in of]
    how = {name: f"with {name}" for name in names} | {names[-1]: f"with {names[-1]} calibration"}
    how["none"] = "uncalibrated" if len(names) > 1 else ""
    found = [(name, metrics[name][metric]) for name in names]
    return tuple(Claim(percent(estimate["mean"]), _margin(estimate), how[name]) for name, estimate in found)


def metrics_table(metrics: Metrics, transductive: Mapping[str, bool]) -> MetricsTable:
    """Every estimate, in the order of `NAMES`."""
    present = [name for name in NAMES if any(name in of for of in metrics.values())]
    rows = tuple(
        (NAMES[name], METRICS[name].higher_is_better, tuple(_cell(name, of[name]) if name in of else None for of in metrics.values()))
        for name in present
    )
    return MetricsTable(tuple((calibration, transductive[calibration]) for calibration in metrics), rows)


def _cell(metric: str, estimate: Mapping[str, Any]) -> Cell:
    ends = sorted(estimate["per_episode"], reverse=not METRICS[metric].higher_is_better)
    return Cell(
        mean=number(estimate["mean"]),
        interval=_span(estimate["ci95"]),
        bootstrap=_span(estimate.get("bootstrap95")),
        ends=f"{number(ends[0])} … {number(ends[-1])}" if len(ends) > 1 else "",
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


def signed(value: float) -> str:
    """+0.012, −0.012, 0.000."""
    text = number(value)
    return text if text == "0.000" or text.startswith("−") else f"+{text}"


def p_value(p: float | None) -> str:
    """Three decimals, or that it is less than can be shown; empty where there is no test."""
    return "" if p is None else "< 0.001" if p < 0.001 else number(p)


def span(interval: Sequence[float] | None, write: Callable[[float], str] = number) -> str:
    """`0.801 to 0.883`; empty where there is no interval."""
    return f"{write(interval[0])} to {write(interval[1])}" if interval else ""


def percent(share: float) -> str:
    """One decimal, with a narrow space that does not break."""
    return f"{100 * share:.1f}\u202f%"


def seconds(value: float) -> str:
    """0.42 s, 12.3 s, 3 min 20 s."""
    whole = round(value)
    if whole >= 60:
        return f"{whole // 60} min {whole % 60} s"
    return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"


def scaled(value: float, unit: str = "") -> str:
    """1,234 below ten thousand, above it three digits and a prefix: 12.3 T."""
    if value < 10_000:
        return f"{value:,.0f}{' ' + unit if unit else ''}"
    power = 0
    while value >= 999.5 and power < len(PREFIXES):
        value, power = value / 1000, power + 1
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{digits}f} {PREFIXES[power - 1]}{unit}"


@dataclass(frozen=True)
class CostView:
    """What the run cost."""

    pairs: Pairs
    phases: tuple[tuple[str, str, float], ...]
    """Phase, seconds in words, share of the longest in percent."""


def cost_view(cost: Mapping[str, Any]) -> CostView:
    """Tokens, FLOPs, seconds by phase, peak memory."""
    unique, total, reused = cost["tokens_unique"], cost["tokens_total"], cost.get("spans_reused", 0)
    saved = f" ({total / unique:.1f} times fewer: what prompts share is computed once)" if unique else ""
    pairs = (
        ("Tokens of the prompts that were computed", f"{total:,}"),
        ("Tokens computed", f"{unique:,}{saved}"),
        *((("Scores re-used from the store", f"{reused:,}"),) if reused else ()),
        ("Floating-point operations", scaled(cost["flops"], "FLOP")),
        ("Peak memory", f"{cost['peak_memory_bytes'] / 2**30:.2f} GiB"),
        ("Time", seconds(sum(cost["seconds"].values()))),
    )
    longest = max(cost["seconds"].values(), default=0.0) or 1.0
    return CostView(pairs, tuple((name, seconds(value), 100 * value / longest) for name, value in cost["seconds"].items()))


def words_found(environment: Mapping[str, Any]) -> str:
    """Labels with the words that `--labels auto` found for them; empty for other runs."""
    return ", ".join(f"{label} → {word}" for label, word in environment["run"].get("label_words", {}).items())


def window_used(prompts: Sequence[Mapping[str, Any]], window: int | None) -> str:
    """Tokens of the longest prompt and their share of the context window; empty for a run from before they were kept."""
    longest = max((row["tokens"] or 0 for row in prompts), default=0)
    return f"{longest:,} tokens, {100 * longest / window:.0f}\u202f% of the window of {window:,}" if longest and window else ""


def shots_by_episode(prompts: Sequence[Mapping[str, Any]]) -> str:
    """How many demonstrations the prompts of each episode hold: "5 to 6 of 8 demonstrations"."""
    kept = [len(row["demonstrations"]) for row in prompts]
    asked = len(prompts[0]["demonstrations"]) + prompts[0]["dropped"]
    return f"{min(kept)}{f' to {max(kept)}' if max(kept) > min(kept) else ''} of {asked} demonstrations"


def command_line(spec: RunSpec, episodes_file: Path | None = None) -> str:
    """The command that makes this run again; options that have their default are left out, but for the telling ones.

    `episodes_file` holds the episodes of a run that did not draw them as its options say.
    """
    words = ["icl", "evaluate", spec.task]
    if episodes_file is not None:
        words += ["--episodes-file", str(episodes_file)]
    for f in fields(RunSpec):
        value = getattr(spec, f.name)
        if f.name == "task" or (value == f.default and f.name not in ALWAYS) or (episodes_file and f.name in OF_THE_EPISODES):
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
