"""A run as a table on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from icl.calibration import get_calibrator
from icl.report.facts import shots_by_episode, window_used, words_found
from icl.runs import Run

TITLES = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "mcc": "MCC",
    "nll": "NLL",
    "ece": "ECE",
    "label_bias": "label bias",
    "exact_match": "exact match",
    "token_f1": "token F1",
}

LEADING = ("accuracy", "exact_match")


def print_run(run: Run) -> None:
    """The metrics of a run with their intervals, its cost, and where its report lies."""
    console = Console()
    spec, facts = run.resolved.spec, run.environment["run"]
    said = [spec.selector, *([spec.order] if spec.order != "given" else []), *(["chat"] if spec.chat else [])]
    said += [f"{spec.labels} labels"] if spec.labels != "true" else []
    said += [f"scores by {spec.normalise}"] if spec.normalise != "none" else []
    filled = ", ".join(said)
    console.print(
        f"[bold]{escape(facts['task'])}[/bold] · {escape(facts['model'])} · {spec.shots} shots ({escape(filled)}) · "
        f"template {escape(run.environment['template']['name'])} · {run.environment['dtype']} on {run.environment['device']}",
        highlight=False,
        soft_wrap=True,
    )
    console.print(metric_table(run.summary["metrics"], facts["metrics"]))
    for line in footnotes(run):
        console.print(line, highlight=False, style="dim", markup=False)
    console.print(f"cost    {cost_line(run.cost)}", highlight=False, markup=False)
    console.print(f"run     {run.dir}", highlight=False, markup=False, soft_wrap=True)
    console.print(f"report  {run.dir / 'report.html'}", highlight=False, markup=False, soft_wrap=True)


def metric_table(metrics: dict[str, dict[str, Any]], first: Sequence[str]) -> Table:
    """Metrics down (those of the card first), calibrations across, each as mean ± half its interval; worst and best episode below."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("mean ± 95 %")
    for calibration in metrics:
        table.add_column(calibration + ("*" if get_calibrator(calibration).transductive else ""), justify="right")
    names = [name for name in dict.fromkeys([*first, *TITLES]) if any(name in of for of in metrics.values())]
    for name in names:
        table.add_row(TITLES[name], *(show_estimate(of[name]) if name in of else "" for of in metrics.values()))
        if name in LEADING:
            table.add_row("[dim]  worst, best[/dim]", *(f"[dim]{_ends(of.get(name))}[/dim]" for of in metrics.values()))
    return table


def show_estimate(estimate: dict[str, Any]) -> str:
    """`0.842 ±.041`, or the mean alone where there is no interval (it is symmetric: Student's t)."""
    if estimate["ci95"] is None:
        return f"{estimate['mean']:.3f}"
    half = (estimate["ci95"][1] - estimate["ci95"][0]) / 2
    return f"{estimate['mean']:.3f} ±{half:.3f}".replace("±0.", "±.")


def _ends(estimate: dict[str, Any] | None) -> str:
    return f"{min(estimate['per_episode']):.3f}, {max(estimate['per_episode']):.3f}" if estimate else ""


def footnotes(run: Run) -> list[str]:
    """What the numbers estimate, and what must be known to read them."""
    facts, metrics = run.environment["run"], run.summary["metrics"]
    episodes, queries = facts["n_episodes"], facts["n_queries"]
    said = (
        "± half the 95 % interval of this split's mean over episode draws (Student's t)" if episodes > 1 else "one episode has no interval"
    )
    words = words_found(run.environment)
    lines = [f"label words found: {words}"] if words else []
    lines += [f"{episodes} episodes x {queries} queries of the split '{facts['split']}'; {said}"]
    if episodes >= 20:
        lines.append("the crossed bootstrap over episodes and queries is in summary.json and in the report")
    if any(get_calibrator(name).transductive for name in metrics):
        lines.append("* transductive: sees all queries of the episode at once, and profits where their labels are balanced")
    if reading := [name for name in metrics if get_calibrator(name).needs in ("divergence", "hidden")]:
        lines.append(f"{' and '.join(reading)} also used labelled examples of the pool that are not shown (docs/methods.md)")
    if any("ece" in of for of in metrics.values()):
        lines.append("ECE pools the episodes (10 equal bins, jackknife interval); a perfect model would not show 0: see the report")
    prompts = run.table("prompts", ("episode", "demonstrations", "dropped", "tokens"))
    dropped = sum(1 for row in prompts if row["dropped"])
    if dropped and run.resolved.spec.overflow == "fewer":
        lines.append(f"{shots_by_episode(prompts)}: all that fit for every query of the episode (--overflow fewer)")
    elif dropped:
        lines.append(
            f"{dropped} of {episodes * queries} prompts were over the context window and lost whole demonstrations (--overflow drop)"
        )
    if used := window_used(prompts, run.environment["engine"].get("window")):
        lines.append(f"the longest prompt takes {used}")
    lines.extend(run.environment["engine"]["notes"])
    return lines


def cost_line(cost: dict[str, Any]) -> str:
    """Tokens, operations, seconds by phase, memory, in one line."""
    seconds = ", ".join(f"{name} {value:.1f}" for name, value in cost["seconds"].items() if value >= 0.05)
    saved = f" ({cost['tokens_total'] / cost['tokens_unique']:.1f} x fewer than without sharing)" if cost["tokens_unique"] else ""
    reused = f", {cost['spans_reused']:,} scores re-used from the store" if cost["spans_reused"] else ""
    return (
        f"{cost['tokens_unique']:,} tokens computed{saved}{reused}, {cost['flops'] / 1e12:.2f} TFLOP, "
        f"seconds: {seconds}; peak memory {cost['peak_memory_bytes'] / 2**30:.1f} GiB"
    )
