"""A sweep as Markdown, for an issue, a notebook or a paper's draft."""

from __future__ import annotations

from collections.abc import Sequence

from icl.sweep.analysis import Analysis
from icl.sweep.report import facts, sentences
from icl.sweep.results import Results


def markdown(results: Results, groups: Sequence[Analysis]) -> str:
    """The tables of every group, what failed, and the cost."""
    parts = [f"# Sweep {results.plan.sweep.name}", ""]
    parts += [f"- {name}: {values}" for name, values in facts.by_field(results).items()]
    parts += ["", "All cells: " + ", ".join(f"{name} {value}" for name, value in facts.fixed(results)), ""]
    for of in groups:
        parts += _group(of)
    if results.failed:
        parts += ["## Failed", "", *(f"- {settings}: {_plain(reason)}" for settings, reason in facts.failures(results)), ""]
    parts += ["## Cost", "", *(f"- {name}: {value}" for name, value in facts.cost_pairs(results)), ""]
    return "\n".join(parts)


def _group(of: Analysis) -> list[str]:
    group = of.group
    names = list(group.fields)
    head = ["", *names, facts.title(of), "95 % interval", "to the best", "interval, all pairs", "adjusted p"]
    rows = [[line.rank, *line.settings, line.mean, line.interval, line.behind, line.behind_interval, line.p] for line in facts.lines(of)]
    said = [sentences.tied(of), sentences.verdict(of), sentences.duel_words(of), sentences.held_out_words(of)]
    out = [
        f"## {group.task}, {group.split} split",
        "",
        f"{len(group.draws)} draws of {group.n_queries} queries, the same for every cell.",
        "",
        *_table(head, rows),
        "",
        " ".join(sentence for sentence in said if sentence),
        "",
    ]
    if warning := sentences.warning(of):
        out += [f"**{warning}**", ""]
        out += ["```bash", command, "```", ""] if (command := sentences.confirm_command(of)) else []
    for name, found in facts.marginal_lines(of).items():
        rows = [[m.value, m.mean, m.interval, m.cells, m.effect, m.effect_interval, m.p] for m in found]
        out += [*_table([name, "mean", "95 % interval", "cells", "to the first", "95 % interval", "adjusted p"], rows), ""]
    return out


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(_plain(cell) for cell in line) + " |" for line in lines]


def _plain(text: str) -> str:
    """No character that ends a table's cell."""
    return text.replace("|", "\\|").replace("\n", " ")
