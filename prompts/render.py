"""Rendering the blocks of a template for one task."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2.exceptions import SecurityError, TemplateError, UndefinedError

from prompts.blocks import Source, split_blocks
from prompts.errors import UndefinedField
from prompts.language import MAX_TEXT
from prompts.sandbox import Sandbox
from prompts.types import Template
from tasks.errors import IclError
from tasks.types import LETTERS, Example, Query

FAILURES = (TemplateError, ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What an expression of a template can raise, through no fault of this program."""
MAX_MESSAGE = 300


class Renderer:
    """Renders the blocks of one template for one task. Pure: the same input gives the same text.

    `labels` are the words of the task's labels, in its order: they are the choices of an item that has none of its own.
    """

    def __init__(self, template: Template, *, task: Mapping[str, str], labels: Sequence[str]) -> None:
        self.template = template
        self._sandbox = Sandbox(template.inclusions)
        trees = split_blocks(Source(template.body, template.name))
        self._compiled = {name: self._sandbox.from_string(tree) for name, tree in trees.items()}
        self._given: dict[str, Any] = {"task": dict(task), "labels": list(labels)}
        self.instruction = self._render("instruction", _choices(labels) if labels else {}) if "instruction" in self._compiled else ""
        self.separator = self._render("separator", {}) if "separator" in self._compiled else "\n\n"

    def query(self, query: Query) -> str:
        """The query side: everything that the model sees of an item before its answer."""
        return self._render("query", self._fields(query), query.id)

    def demonstration(self, example: Example, answer: str) -> str:
        """An item with its answer, as it stands in the context."""
        query = self.query(example.query())
        if "demonstration" not in self._compiled:
            return query + self.template.answer_prefix + answer
        fields = {**self._fields(example.query()), "query": query, "answer": answer}
        return self._render("demonstration", fields, example.id)

    def channel(self, query: Query, answer: str) -> str:
        """An item with its answer, as the block `channel` writes it."""
        return self._render("channel", {**self._fields(query), "query": self.query(query), "answer": answer}, query.id)

    def _fields(self, query: Query) -> dict[str, Any]:
        return {**query.inputs, **_choices(query.choices or self._given["labels"])}

    def _render(self, block: str, fields: Mapping[str, Any], item: str = "") -> str:
        where = f"template '{self.template.name}', block '{block}'" + (f", item '{item}'" if item else "")
        self._sandbox.meter.reset()
        try:
            chunks: list[str] = []
            size = 0
            for chunk in self._compiled[block].generate({**self._given, **fields}):
                chunks.append(chunk)
                size += len(chunk)
                if size > MAX_TEXT:
                    raise IclError(f"{where}: more than {MAX_TEXT} characters were rendered")
            return "".join(chunks)
        except UndefinedError as error:
            known = ", ".join(sorted({*fields, *self._given}))
            raise UndefinedField(f"{where}: {_line(error)}; names that exist here: {known}") from error
        except SecurityError as error:
            raise IclError(f"{where}: refused by the sandbox: {_line(error)}") from error
        except RecursionError as error:
            raise IclError(f"{where}: macros or loops call themselves without end") from error
        except MemoryError as error:
            raise IclError(f"{where}: the memory does not suffice for what it builds") from error
        except FAILURES as error:
            raise IclError(f"{where}: {_line(error)}") from error


def _choices(texts: Sequence[str]) -> dict[str, list[str]]:
    return {"choices": list(texts), "letters": list(LETTERS[: len(texts)])}


def _line(error: Exception) -> str:
    """What an error says: one line of bearable length, without addresses in memory."""
    text = " ".join(re.sub(r" at 0x[0-9a-fA-F]+", "", str(error)).split()) or type(error).__name__
    return text if len(text) <= MAX_MESSAGE else text[:MAX_MESSAGE] + "…"
