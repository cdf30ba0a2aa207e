"""Lint: what goes wrong with templates, as rules with ids. Pure functions; a tokenizer comes in as a `Vocabulary`."""

from prompts.lint.rules import RULES, get_rule
from prompts.lint.run import Report, lint
from prompts.lint.types import Finding, Rule, Vocabulary

__all__ = ["RULES", "Finding", "Report", "Rule", "Vocabulary", "get_rule", "lint"]
