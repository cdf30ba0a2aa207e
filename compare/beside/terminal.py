"""Runs side by side on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from compare.beside import page
from compare.beside.run import Beside
from icl.report.figures import Table as Rows


def print_beside(of: Beside) -> None:
    """Results, what differs between the runs, and where the report lies."""
    console = Console(highlight=False)
    console.print(
        f"[bold]{escape(of.task)}[/bold] · {of.n_episodes} episodes x {of.n_queries} queries of the split '{escape(of.split)}' · "
        f"calibration {escape(of.calibration)}",
        soft_wrap=True,
    )
    console.print(_table(page.results_table(of)))
    console.print(_table(page.settings_table(of)))
    notes = "mean over episodes with its 95 % interval (Student's t); the difference is paired, p after Holm over all runs"
    console.print(notes, style="dim", markup=False)
    if any(line.mcnemar for line in of.lines):
        said = f"McNemar: queries of {of.episode} that only this run (+) or only the first (−) gets right; exact test, p after Holm"
        console.print(said, style="dim", markup=False)
    console.print(f"report   {of.dir / 'report.html'}", markup=False, soft_wrap=True)


def _table(of: Rows) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for i, name in enumerate(of.head):
        table.add_column(escape(name), justify="right" if i else "left", overflow="fold")
    for row in of.rows:
        table.add_row(*map(escape, map(str, row)))
    return table
