"""A comparison as a table on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from compare.report import facts, shift
from compare.run import ComparisonRun


def print_comparison(run: ComparisonRun) -> None:
    """Accuracy, paired difference and cost of every learner at every K, and where the report lies."""
    console = Console()
    summary, cost, environment = run.read("summary"), run.read("cost"), run.read("environment")
    of = environment["run"]
    console.print(
        f"[bold]{escape(of['task'])}[/bold] · {escape(facts.models(environment))} · {of['n_episodes']} episodes x {of['n_queries']} "
        f"queries of the split '{escape(of['split'])}' · {environment['dtype']} on {environment['device']}",
        highlight=False,
        soft_wrap=True,
    )
    rows = facts.table_rows(summary, cost)
    console.print(accuracy_table(rows))
    console.print(cost_table(rows))
    if elsewhere := shift.elsewhere_rows(summary):
        console.print(_plain(shift.ELSEWHERE_HEAD, elsewhere))
    for line in footnotes(summary, rows):
        console.print(line, highlight=False, style="dim", markup=False)
    seconds = ", ".join(f"{name} {value:.1f}" for name, value in cost["seconds"].items())
    console.print(f"seconds  {seconds}", highlight=False, markup=False)
    if spared := cost["reused"]["seconds"]:
        console.print(f"re-used  {spared:.1f} s of answers from the score store; the costs above are of computing them", highlight=False)
    console.print(f"run      {run.dir}", highlight=False, markup=False, soft_wrap=True)
    console.print(f"report   {run.dir / 'report.html'}", highlight=False, markup=False, soft_wrap=True)


def accuracy_table(rows: list[facts.TextRow]) -> Table:
    """Accuracy and paired difference with their 95 % intervals: one line per learner and K."""
    failing, uneven = any(row.failed for row in rows), len({row.episodes for row in rows}) > 1
    table = _table("K", *(["episodes"] if uneven else []), "accuracy", "to in-context", "p", *(["failed"] if failing else []))
    for row in rows:
        accuracy, difference = _with(row.accuracy, row.interval), _with(row.difference, row.difference_interval)
        played, failed = [str(row.episodes)] if uneven else [], [str(row.failed)] if failing else []
        table.add_row(_name(row), str(row.k_shot), *played, accuracy, difference, row.p_adjusted, *failed)
    return table


def _with(mean: str, interval: str) -> str:
    """`0.842 [0.801, 0.883]`."""
    return f"{mean} [dim]\\[{interval.replace(' to ', ', ')}][/dim]" if interval else mean


def cost_table(rows: list[facts.TextRow]) -> Table:
    """Seconds, and below them FLOPs: one entry per learner and K."""
    table = _table("K", "adapt", "per query", "meta-training", "trainable", "stored")
    for row in rows:
        cells = ("\n".join(dict.fromkeys(pair)) for pair in (row.adapt, row.per_query, row.meta_train))
        table.add_row(_name(row), str(row.k_shot), *cells, row.trainable, row.stored)
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("learner", no_wrap=True)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _plain(head: tuple[str, ...], rows: tuple[tuple[str, ...], ...]) -> Table:
    table = _table(*(name.lower() for name in head[1:]))
    for row in rows:
        table.add_row(*map(escape, row))
    return table


def _name(row: facts.TextRow) -> str:
    return row.learner + ("*" if row.transductive else "")


def footnotes(summary: facts.Json, rows: list[facts.TextRow]) -> list[str]:
    """What the numbers estimate, and what must be known to read them."""
    lines = [
        "mean over episodes with its 95 % interval (Student's t); the difference is paired, p after Holm over all contrasts",
        "cost: seconds, below them computed FLOPs; in-context: one reading of the demonstrations is shared by an episode's queries",
    ]
    used = facts.learnt_from(summary)
    if used:
        lines.append(f"labelled rows of {', '.join(used)} served to choose settings, to scale features and to meta-train")
    searched = {f"{row['learner']} {len(row['searched'])} x {row['search_episodes']}" for row in summary["rows"] if row["searched"]}
    if searched:
        lines.append(f"search, configurations x meta-validation episodes: {', '.join(sorted(searched))}")
    if any(row.transductive for row in rows):
        lines.append("* transductive: sees all queries of the episode at once")
    failures = [f"{learner}, {episode}: {reason}" for learner, episode, reason in facts.failures(summary)]
    lines.extend(f"failed (counts as chance): {line}" for line in failures[:5])
    if len(failures) > 5:
        lines.append(f"and {len(failures) - 5} more failures, in the report")
    return lines
