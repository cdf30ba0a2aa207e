"""A tuning as Markdown: its tables."""

from __future__ import annotations

from collections.abc import Sequence

from compare.tune.report import facts


def markdown(result: facts.Json, directory: str) -> str:
    """What was found, what it cost, how to use it."""
    parts = [f"# Tuning {result['tuning']}", "", *(f"- {name}: {value}" for name, value in facts.how(result)), ""]
    parts += ["## Test", "", *_table(facts.METHOD_HEAD, facts.method_rows(result)), ""]
    parts += [said, ""] if (said := facts.verdict(result)) else []
    parts += ["## Searches", "", *_table(facts.SEARCH_HEAD, facts.search_rows(result)), ""]
    for of in result["methods"]:
        parts += [f"## {of['method']}", "", facts.setting(of["settings"]), "", facts.gain(of), ""]
        if of["importance"]:
            shares = [(name, f"{share:.0%}") for name, share in of["importance"].items()]
            parts += [*_table(("Name", "Share of the variance"), shares), ""]
        table = facts.trial_table(of)
        parts += [*_table(table.head, table.rows), ""]
    return "\n".join([*parts, "```bash", *facts.commands(result, directory), "```", ""])


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |" for line in lines]
