"""Reading and rendering templates.

A template file is a short YAML front matter between two `---` lines and four named Jinja blocks:

    instruction    (optional) stands once, before everything
    query          the query side: what the model sees of an item, up to but not including the answer
    demonstration  (optional) an item with its answer; by default the query side, the answer prefix and the answer
    separator      (optional) between instruction, demonstrations and query; by default an empty line

The environment is sandboxed and strict (an undefined name is an error) and leaves white space alone. Each block is compiled with the
file's macros, imports and settings but without the other blocks, so the query side cannot reach what only a demonstration knows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from jinja2 import FileSystemLoader, StrictUndefined, TemplateError, TemplateSyntaxError, UndefinedError, meta, nodes
from jinja2 import Template as JinjaTemplate
from jinja2.exceptions import SecurityError, TemplateNotFound
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from prompts.types import AnswerStyle, Template
from tasks.errors import IclError, unknown_name
from tasks.types import KINDS, Example, Kind, Query

LIBRARY = Path(__file__).parent / "library"
BLOCKS = ("instruction", "query", "demonstration", "separator")
GIVEN = frozenset({"answer", "query", "labels", "choices", "letters", "task"})
"""Names that every template may use besides the input fields: `answer` and `query` in a demonstration only."""
ANSWER_SIDE = frozenset({"answer", "query"})
MAX_FILE = 100_000
MAX_RENDERED = 1_000_000
"""Characters: a rendered block beyond this is refused (a runaway loop, not a prompt)."""


class FrontMatter(BaseModel):
    """The YAML head of a template file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str | None = None
    description: str = ""
    kinds: tuple[Kind, ...] = KINDS
    fields: tuple[str, ...] | None = None
    answer: AnswerStyle = "word"
    answer_prefix: str = " "
    label_words: dict[str, str] = Field(default_factory=dict)
    licence: str = "Apache-2.0"


class _Sandbox(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, with private names refused loudly and string repetition bounded."""

    intercepted_binops = frozenset({"*", "**"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" or any(isinstance(side, str | list | tuple) for side in (left, right)):
            raise SecurityError(f"the operator '{operator}' on these values is not allowed in a template")
        return super().call_binop(context, operator, left, right)

    def unsafe_undefined(self, obj: Any, attribute: str) -> Any:
        raise SecurityError(f"access to '{attribute}' is outside the sandbox")


def library_names() -> list[str]:
    """Names of the shipped templates."""
    return sorted(path.stem for path in LIBRARY.glob("*.jinja") if not path.stem.startswith("_"))


def load_template(name_or_path: str | Path) -> Template:
    """The template of that name in the library, or in that file (a path, or a name that ends in `.jinja`)."""
    text = str(name_or_path)
    if text.endswith(".jinja") or "/" in text or isinstance(name_or_path, Path):
        path = Path(name_or_path)
        if not path.is_file():
            raise IclError(f"a template must be a file that exists, but there is no {path}")
    else:
        path = LIBRARY / f"{text}.jinja"
        if text not in library_names():
            raise unknown_name("template", text, library_names(), "(a file of your own must end in .jinja)")
    if path.stat().st_size > MAX_FILE:
        raise IclError(f"{path}: a template may have {MAX_FILE} bytes, but this has {path.stat().st_size}")
    try:
        source = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise IclError(f"{path}: a template must be UTF-8, but byte {error.start} is not") from error
    return parse_template(source, path.stem, path)


def parse_template(source: str, name: str, path: Path | None = None) -> Template:
    """A template from its text. Raises IclError with file and line for a broken front matter, unknown block or bad syntax."""
    where = str(path or name)
    head, body, offset = _split_front_matter(source, where)
    try:
        front = FrontMatter.model_validate(head)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise IclError(f"{where}: front matter, key '{key}': {first['msg']}") from error
    parts = _parts(body, where, offset, path)
    if "query" not in parts:
        raise IclError(f"{where}: a template needs a block 'query' ({{% block query %}} … {{% endblock %}})")
    used: set[str] = set()
    for block, tree in parts.items():
        try:
            names = meta.find_undeclared_variables(tree)
        except TemplateSyntaxError as error:
            raise IclError(f"{where}: block '{block}': {error.message}") from error
        if block != "demonstration" and names & ANSWER_SIDE:
            raise IclError(f"{where}: block '{block}' uses '{min(names & ANSWER_SIDE)}', which exists in 'demonstration' only")
        used |= names
    return Template(
        name=front.name or name,
        source=source,
        body=body,
        sha256=hashlib.sha256(source.encode("utf-8")).hexdigest(),
        description=front.description,
        kinds=front.kinds,
        fields=front.fields if front.fields is not None else tuple(sorted(used - GIVEN)),
        answer=front.answer,
        answer_prefix=front.answer_prefix,
        label_words=front.label_words,
        licence=front.licence,
        path=path,
    )


def _split_front_matter(source: str, where: str) -> tuple[dict[str, Any], str, int]:
    """Front matter, body, and the number of lines before the body."""
    source = source.replace("\r\n", "\n")
    if not source.startswith("---\n"):
        return {}, source, 0
    end = source.find("\n---\n", 3)
    if end < 0:
        raise IclError(f"{where}:1: the front matter is opened by '---' but never closed")
    try:
        head = yaml.safe_load(source[4 : end + 1])
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 2 if mark else 1
        raise IclError(f"{where}:{line}: the front matter is not valid YAML: {getattr(error, 'problem', error)}") from error
    if head is None:
        head = {}
    if not isinstance(head, dict):
        raise IclError(f"{where}:2: the front matter must be 'key: value' lines, but it is a {type(head).__name__}")
    body = source[end + 5 :]
    return head, body, source[: end + 5].count("\n")


def _environment(path: Path | None) -> _Sandbox:
    # Inclusions are read from the template's own directory only; FileSystemLoader refuses '..' and absolute paths.
    loader = FileSystemLoader(path.parent if path else LIBRARY)
    return _Sandbox(loader=loader, undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)


def _parts(body: str, where: str, offset: int, path: Path | None) -> dict[str, nodes.Template]:
    """Block name → its own syntax tree: the file's macros, imports and settings, then the block's body."""
    environment = _environment(path)
    try:
        tree = environment.parse(body)
    except TemplateSyntaxError as error:
        raise IclError(f"{where}:{error.lineno + offset}: {error.message}") from error
    shared: list[nodes.Node] = []
    blocks: dict[str, nodes.Block] = {}
    for node in tree.body:
        if isinstance(node, nodes.Block):
            if node.name not in BLOCKS:
                raise IclError(f"{where}:{node.lineno + offset}: {unknown_name('block', node.name, BLOCKS)}")
            blocks[node.name] = node
        elif isinstance(node, nodes.Output):
            if not all(isinstance(n, nodes.TemplateData) and not n.data.strip() for n in node.nodes):
                raise IclError(f"{where}:{node.lineno + offset}: text must stand inside a block ({', '.join(BLOCKS)})")
        elif isinstance(node, nodes.Extends):
            raise IclError(f"{where}:{node.lineno + offset}: 'extends' is not supported; use 'include' or 'import'")
        else:
            shared.append(node)
    parts = {name: nodes.Template([*shared, *block.body], lineno=1) for name, block in blocks.items()}
    for part in parts.values():
        part.set_environment(environment)
    return parts


class Renderer:
    """Renders the parts of one template for one task. Pure: the same input gives the same text."""

    def __init__(self, template: Template, *, task: Mapping[str, str], labels: tuple[str, ...]) -> None:
        self.template = template
        environment = _environment(template.path)
        trees = _parts(template.body, template.name, 0, template.path)
        self._compiled: dict[str, JinjaTemplate] = {name: environment.from_string(tree) for name, tree in trees.items()}
        self._given = {"task": dict(task), "labels": list(labels)}
        self.instruction = self._render("instruction", {}) if "instruction" in self._compiled else ""
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

    def _fields(self, query: Query) -> dict[str, Any]:
        letters = [chr(ord("A") + i) for i in range(len(query.choices))]
        return {**query.inputs, "choices": list(query.choices), "letters": letters}

    def _render(self, part: str, fields: Mapping[str, Any], item: str = "") -> str:
        where = f"template '{self.template.name}', block '{part}'" + (f", item '{item}'" if item else "")
        try:
            chunks: list[str] = []
            size = 0
            for chunk in self._compiled[part].generate({**self._given, **fields}):
                chunks.append(chunk)
                size += len(chunk)
                if size > MAX_RENDERED:
                    raise IclError(f"{where}: more than {MAX_RENDERED} characters were rendered")
            return "".join(chunks)
        except UndefinedError as error:
            known = ", ".join(sorted({*fields, *self._given}))
            raise IclError(f"{where}: {error.message}; names that exist here: {known}") from error
        except TemplateNotFound as error:
            raise IclError(f"{where}: '{error.name}' is not a file in the template's own directory") from error
        except SecurityError as error:
            raise IclError(f"{where}: refused by the sandbox: {error.message}") from error
        except (TemplateError, TypeError, ValueError, OverflowError, ZeroDivisionError, AttributeError) as error:
            raise IclError(f"{where}: {error}") from error
