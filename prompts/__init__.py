"""How an example is written: templates, label words, whole prompts with the span that is scored."""

from prompts.build import PromptBuilder, check_fit, make_verbalizer
from prompts.template import library_names, load_template, parse_template
from prompts.types import Candidate, Prompt, Template

__all__ = [
    "Candidate",
    "Prompt",
    "PromptBuilder",
    "Template",
    "check_fit",
    "library_names",
    "load_template",
    "make_verbalizer",
    "parse_template",
]
