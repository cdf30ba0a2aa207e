"""Linting one template for one task."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from prompts.build import ApplyChat
from prompts.errors import AnswerInReach, UndefinedField
from prompts.lint.case import check_shots, make_case
from prompts.lint.rules import RULES, check_suppressed
from prompts.lint.types import Case, Finding, Problem, Rule, Vocabulary
from prompts.template import find_template, load_template
from tasks.errors import IclError
from tasks.types import Task


@dataclass(frozen=True)
class Report:
    """What lint found."""

    template: str
    task: str
    findings: tuple[Finding, ...]
    """Errors first, then in the order of the rules."""
    suppressed: tuple[Finding, ...] = ()
    """Of rules that the front matter names in `lint_ignore`."""
    unchecked: tuple[str, ...] = ()
    """Rules that need a tokenizer, when there was none."""

    @property
    def errors(self) -> int:
        return sum(finding.severity == "error" for finding in self.findings)


def lint(name: str | Path, task: Task, shots: int = 4, chat: ApplyChat | None = None, vocabulary: Vocabulary | None = None) -> Report:
    """Every rule on a template and a task. What stops a template from being used is a finding, too.

    Raises IclError for a template that does not exist, more shots than there are demonstrations, and a wrong `lint_ignore`.
    """
    path = find_template(name)
    check_shots(task, shots)
    try:
        template = load_template(path)
    except AnswerInReach as error:
        return Report(path.stem, task.name, (Finding("P004", "error", str(error)),))
    except IclError as error:
        return Report(path.stem, task.name, (Finding("P001", "error", str(error)),))
    check_suppressed(template.lint_ignore, str(path))
    try:
        case = make_case(template, task, shots, chat, vocabulary)
    except UndefinedField as error:
        return Report(template.name, task.name, (Finding("P003", "error", str(error)),))
    except IclError as error:
        return Report(template.name, task.name, (Finding("P002", "error", str(error)),))
    found = sorted(check(case), key=lambda finding: (finding.severity, finding.rule))
    return Report(
        template.name,
        task.name,
        tuple(finding for finding in found if finding.rule not in template.lint_ignore),
        tuple(finding for finding in found if finding.rule in template.lint_ignore),
        tuple(id for id, rule in RULES.items() if rule.needs_tokens) if vocabulary is None else (),
    )


def check(case: Case) -> Iterator[Finding]:
    """What the rules say of a case."""
    for id, rule in RULES.items():
        for problem in _problems(rule, case):
            yield Finding(id, problem.severity or rule.severity, problem.message, problem.where)


def _problems(rule: Rule, case: Case) -> Iterator[Problem]:
    if rule.check_tokens is not None and case.vocabulary is not None:
        yield from rule.check_tokens(case, case.vocabulary)
    elif rule.check is not None:
        yield from rule.check(case)
