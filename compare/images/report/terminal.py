"""A comparison on images as tables on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from compare.images.report import facts
from compare.images.run import ImageRun


def print_images(run: ImageRun) -> None:
    """Accuracy, paired difference, rank and cost of every learner, and where the report lies."""
    console = Console()
    summary, cost, environment = run.read("summary"), run.read("cost"), run.read("environment")
    of = environment["run"]
    title = f"{of['n_episodes']} meta-test episodes {facts.shape(of)} · {of['backbone']} with {of['norm']} norm on {environment['device']}"
    console.print(f"[bold]{escape(of['task'])}[/bold] · {title}", highlight=False, soft_wrap=True)
    rows = facts.table_rows(summary, cost)
    console.print(accuracy_table(rows, summary["reference"], len(of["sources"]) > 1))
    console.print(cost_table([row for row in rows if row.source == of["sources"][0]]))
    for line in footnotes(summary, of):
        console.print(line, highlight=False, style="dim", markup=False)
    seconds = ", ".join(f"{name} {value:.1f}" for name, value in cost["seconds"].items())
    console.print(f"seconds  {seconds}", highlight=False, markup=False)
    console.print(f"run      {run.dir}", highlight=False, markup=False, soft_wrap=True)
    console.print(f"report   {run.dir / 'report.html'}", highlight=False, markup=False, soft_wrap=True)


def accuracy_table(rows: list[facts.ImageRow], reference: str, several: bool) -> Table:
    """One line per learner, K and source."""
    failing = any(row.failed for row in rows)
    places = ["tested on"] if several else []
    table = _table(*places, "K", "accuracy", f"to {reference}", "p", "rank", *(["failed"] if failing else []))
    for row in rows:
        place = [row.source] if several else []
        failed = [str(row.failed)] if failing else []
        accuracy, difference = _with(row.accuracy, row.interval), _with(row.difference, row.difference_interval)
        table.add_row(row.learner, *place, str(row.k_shot), accuracy, difference, row.p_adjusted, row.rank, *failed)
    return table


def cost_table(rows: list[facts.ImageRow]) -> Table:
    """Seconds, and below them FLOPs."""
    table = _table("K", "adapt", "per query", "meta-training", "trainable", "stored")
    for row in rows:
        cells = ("\n".join(pair) for pair in (row.adapt, row.per_query, row.meta_train))
        table.add_row(row.learner, str(row.k_shot), *cells, row.trainable, row.stored)
    return table


def _with(mean: str, interval: str) -> str:
    return f"{mean} [dim]\\[{interval.replace(' to ', ', ')}][/dim]" if interval else mean


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("learner", no_wrap=True)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def footnotes(summary: facts.Json, of: facts.Json) -> list[str]:
    """What the numbers estimate, and what must be known to read them."""
    lines = [
        "mean over episodes with its 95 % interval (Student's t); differences are paired, p after Holm over all contrasts",
        "rank: learners whose paired difference to the best is not told apart from 0 share a rank",
        facts.NORMS[summary["norm"]],
        *of["notes"],
    ]
    failures = [f"{cell}, {episode}: {reason}" for cell, episode, reason in facts.failures(summary)]
    lines.extend(f"failed (counts as chance): {line}" for line in failures[:5])
    if len(failures) > 5:
        lines.append(f"and {len(failures) - 5} more failures, in the report")
    return lines
