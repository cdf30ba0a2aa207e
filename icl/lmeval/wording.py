"""The `.jinja` file of an imported task: the same characters in the same places as the harness puts them.

The harness writes: description, then for every demonstration its text, the target delimiter, its answer and the few-shot delimiter, then
the query's text; the target delimiter before a choice is scored with it. Here a separator also stands between instruction and
demonstrations. So a description that ends with the few-shot delimiter gives it to the separator; after any other the separator is
empty, and demonstrations bring the delimiter themselves.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from icl.lmeval.fields import Field, fields_of, unknown_methods
from icl.lmeval.fixed import fixed_demonstrations
from icl.lmeval.harness import Read
from prompts import parse_template
from prompts.language import GLOBALS
from tasks.errors import IclError

TAGS = re.compile(r"\{[{%#]")
USUAL = "\n\n"
"""What separates demonstrations in a template that does not say it."""


def wording_of(read: Read) -> tuple[str, list[Field]]:
    """The template's text and the fields that it needs. Raises IclError for what the template language does not have."""
    task = read.task
    query, shown = _text(read, "doc_to_text", task.doc_to_text), _text(read, "fewshot_config", task.fewshot.doc_to_text or task.doc_to_text)
    fields = fields_of([query, shown])
    if not fields_of([query]):
        raise read.refuse("doc_to_text", "must read a column, or every query would be the same prompt")
    if TAGS.search(task.description):
        raise read.refuse("description", "must be the same for all rows, but is a template")
    before = task.description + fixed_demonstrations(read)
    text = _front_matter(read, fields) + _blocks(read, fields, query, shown, before)
    try:
        parse_template(text, task.task)
    except IclError as error:
        why = str(error).removeprefix(f"{task.task}:").partition(": ")
        raise read.refuse("doc_to_text", why[2] or why[0]) from None
    return text, fields


def _text(read: Read, key: str, template: str) -> str:
    """The wording as a template: a bare word is a column."""
    if template.isidentifier() and template not in GLOBALS:
        return f"{{{{ {template} }}}}"
    try:
        strange = unknown_methods(template)
    except IclError as error:
        raise read.refuse(key, str(error)) from None
    if strange:
        raise read.refuse(key, f"the method '{strange[0]}' is not part of the template language (docs/templates.md)")
    return template


def _front_matter(read: Read, fields: Sequence[Field]) -> str:
    task = read.task
    kind = "generation" if task.output_type == "generate_until" else "classification, multiple_choice"
    lines = [
        f"description: {_quoted(f'{task.task}, worded as in lm-evaluation-harness.')}",
        f"kinds: [{kind}]",
        f"fields: [{', '.join(_quoted(field.name) for field in fields)}]",
        f"answer: {'text' if task.output_type == 'generate_until' else 'word'}",
        f"answer_prefix: {_quoted(task.target_delimiter)}",
        "licence: that of the YAML it was imported from",
    ]
    return "---\n" + "".join(f"{line}\n" for line in lines) + "---\n"


def _blocks(read: Read, fields: Sequence[Field], query: str, shown: str, before: str) -> str:
    task = read.task
    between = task.fewshot_delimiter if task.fewshot.fewshot_delimiter is None else task.fewshot.fewshot_delimiter
    prefix = task.target_delimiter if task.fewshot.target_delimiter is None else task.fewshot.target_delimiter
    shared = bool(between) and (not before or (before.endswith(between) and before != between))
    blocks = {"instruction": _literal(before.removesuffix(between) if shared else before), "query": _settings(fields, query) + query}
    if not shared or prefix != task.target_delimiter or shown != query:
        side = "{{ query }}" if shown == query else _settings(fields, shown) + shown
        # An expression, since a wording may end with a tag that takes the white space after it.
        blocks["demonstration"] = f"{side}{{{{ {_quoted(prefix)} ~ answer }}}}{'' if shared else _literal(between)}"
    if not shared or between != USUAL:
        blocks["separator"] = _literal(between) if shared else ""
    return "".join(f"{{% block {name} %}}{text}{{% endblock %}}\n" for name, text in blocks.items() if text or name == "separator")


def _settings(fields: Sequence[Field], wording: str) -> str:
    """The columns that this wording reads, under its own names for them."""
    needed = {field.column for field in fields_of([wording])}
    return "".join(field.setting for field in fields if field.column in needed)


def _literal(text: str) -> str:
    """A text that stands in a template for itself."""
    return f"{{{{ {_quoted(text)} }}}}" if TAGS.search(text) else text


def _quoted(text: str) -> str:
    """A text as YAML and Jinja read it back."""
    return json.dumps(text, ensure_ascii=False)
