"""`icl prompts lint` and `icl prompts explain`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from icl.cli.options import DataDir, Debug, Json, print_json
from tasks.errors import IclError

if TYPE_CHECKING:
    from prompts.lint import Report

Name = Annotated[str, typer.Argument(help="A template of the library, or a .jinja file.")]
Task = Annotated[str, typer.Option("--task", help="A task of the library, or the path of a card.")]
Model = Annotated[str | None, typer.Option("--model", help="Look at tokens and the context window of this model; no weights are loaded.")]
Chat = Annotated[bool, typer.Option("--chat", help="Write the prompt as turns through the model's chat template.")]


def lint(
    name: Name,
    task: Task,
    model: Model = None,
    shots: Annotated[int, typer.Option(min=0, help="Demonstrations in a prompt.")] = 4,
    chat: Chat = False,
    data_dir: DataDir = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Check a template against a task. Exit code 1 when there are errors; warnings alone are 0."""
    from icl.vocabulary import load_reader
    from prompts.chat import chat_renderer
    from prompts.lint import lint as check
    from prompts.template import find_template
    from tasks.load import load_task

    needs_model(chat, "--chat", model)
    find_template(name)  # a wrong name is said before anything is fetched
    loaded = load_task(task, data_dir)
    reader = load_reader(model) if model else None
    apply = chat_renderer(reader.tokenizer) if chat and reader else None
    report = check(name, loaded, shots, apply, reader.vocabulary if reader else None)
    if json:
        print_json(_as_json(report, model))
    else:
        _print(report)
    if report.errors:
        raise typer.Exit(1)


def needs_model(asked: bool, option: str, model: str | None) -> None:
    """Raises IclError for an option that only a tokenizer can answer."""
    if asked and not model:
        raise IclError(f"{option} needs a tokenizer, but no model is named; add --model, such as --model builtin:smollm2-135m")


def _as_json(report: Report, model: str | None) -> dict[str, object]:
    return {
        "template": report.template,
        "task": report.task,
        "model": model,
        "errors": report.errors,
        "warnings": len(report.findings) - report.errors,
        "findings": [asdict(finding) for finding in report.findings],
        "suppressed": [asdict(finding) for finding in report.suppressed],
        "unchecked": list(report.unchecked),
    }


def _print(report: Report) -> None:
    from rich.console import Console
    from rich.text import Text

    from prompts.lint import RULES

    console = Console(highlight=False)
    for finding in report.findings:
        line = Text.assemble(
            (f"{finding.severity:8}", "bold red" if finding.severity == "error" else "yellow"),
            (f"{finding.rule}  ", "bold"),
            f"{RULES[finding.rule].title}: {finding.message}",
            (f"  ({finding.where})" if finding.where else "", "dim"),
        )
        console.print(line, soft_wrap=True)
    warnings = len(report.findings) - report.errors
    said = f"template '{report.template}', task '{report.task}': {_count(report.errors, 'error')}, {_count(warnings, 'warning')}"
    if report.suppressed:
        said += f", suppressed: {', '.join(dict.fromkeys(finding.rule for finding in report.suppressed))}"
    console.print(Text(said), soft_wrap=True)
    if report.unchecked:
        console.print(Text(f"not checked without --model: {', '.join(report.unchecked)}", "dim"), soft_wrap=True)
    if report.findings:
        console.print(Text(f"icl prompts explain {report.findings[0].rule} says more", "dim"), soft_wrap=True)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def explain(
    rule: Annotated[str | None, typer.Argument(help="Id of a rule, such as P004. [default: a list of all]")] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """What a rule of lint means and what to do about it."""
    from prompts.lint import RULES, get_rule

    chosen = {rule.upper(): get_rule(rule.upper())} if rule else RULES
    if json:
        rows = [
            {"rule": id, "severity": r.severity, "title": r.title, "explanation": r.explanation, "needs_model": r.needs_tokens}
            for id, r in chosen.items()
        ]
        print_json(rows[0] if rule else rows)
    elif rule:
        (found,) = chosen.values()
        needs = ", needs --model" if found.needs_tokens else ""
        print(f"{rule.upper()} {found.title} ({found.severity}{needs})\n\n{found.explanation}")
    else:
        for id, found in chosen.items():
            print(f"{id}  {found.severity:8}  {found.title}{' (needs --model)' if found.needs_tokens else ''}")
