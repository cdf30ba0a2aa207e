"""A sensitivity run on the terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from icl.report.terminal import cost_line
from icl.sensitivity import sentences as say
from icl.sensitivity.components import NORMAL
from icl.sensitivity.run import SensitivityRun


def print_sensitivity(run: SensitivityRun) -> None:
    """The sentence, the shares under every calibration, what predictions copy, the formats, cost, and where the report lies."""
    console = Console()
    summary, environment = run.read("summary"), run.read("environment")
    facts, design = environment["run"], summary["design"]
    console.print(
        f"[bold]{escape(facts['task'])}[/bold] · {escape(facts['model'])} · {facts['n_cells']} prompts x {facts['n_queries']} queries · "
        f"{environment['dtype']} on {environment['device']}",
        highlight=False,
        soft_wrap=True,
    )
    for number, (name, of) in enumerate(summary["calibrations"].items()):
        accuracy = of["measures"]["accuracy"]
        if number == 0:
            console.print(say.headline(of), highlight=False, markup=False)
            console.print(say.besides(accuracy, facts["n_queries"]), highlight=False, markup=False, style="dim")
        console.print()
        title = "uncalibrated" if name == "none" else f"{name} calibration"
        console.print(f"[bold]{title}[/bold]: {say.expected(accuracy)}", highlight=False)
        console.print(_shares(of, design))
        for line in _copies(of):
            console.print(line, highlight=False, markup=False)
    if summary["formats"]:
        console.print()
        console.print(_formats(summary["formats"]))
        console.print(say.search_sentence(summary["formats"]), highlight=False, markup=False)
    console.print()
    console.print(f"cost    {cost_line(run.read('cost'))}", highlight=False, markup=False)
    console.print(f"run     {run.dir}", highlight=False, markup=False, soft_wrap=True)
    console.print(f"report  {run.dir / 'report.html'}", highlight=False, markup=False, soft_wrap=True)


def _shares(of: Any, design: Any) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("share of variance", no_wrap=True)
    for name in ("levels", "accuracy (95 %)", "± points", "margin", "log-loss"):
        table.add_column(name, justify="right", no_wrap=True)
    measures = of["measures"]
    for name, component in measures["accuracy"]["components"].items():
        levels = str(design[say.LEVELS[name]]) if name in say.LEVELS else ""
        accuracy, *others = (_share(measures[measure]["components"][name]) for measure in measures)
        interval = component["share_ci95"]
        shown = f"{accuracy} ({say.span(interval)})" if interval else accuracy
        table.add_row(say.NAMES[name], levels, shown, say.points(NORMAL * component["sd"]), *others)
    return table


def _share(component: Any) -> str:
    return "–" if component["share"] is None else say.whole(component["share"])


def _copies(of: Any) -> list[str]:
    lines = []
    if orders := of["orders"]:
        lines.append(
            f"best minus worst of {orders['orders']} orders: {say.points(orders['spread'])} points{say.in_brackets(orders['ci95'])}"
        )
    if bias := of["bias"]:
        said = [
            f"{name} {say.points(effect['value'])}{say.in_brackets(effect['ci95'])}"
            for name in ("recency", "majority", "copying")
            if (effect := bias[name])
        ]
        lines.append(f"predictions beyond chance, in points: {', '.join(said)}")
    return lines


def _formats(formats: Any) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("format")
    for name in ("where found", "on other queries"):
        table.add_column(name, justify="right")
    table.add_column("differs from the usual by", overflow="fold")
    for of in formats["confirmed"]:
        found = "" if of["found"] is None else f"{of['found']:.3f}"
        table.add_row(of["role"], found, f"{of['accuracy']:.3f}", escape(of["description"]))
    return table
