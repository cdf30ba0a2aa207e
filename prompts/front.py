"""The front matter of a template file: a few lines of YAML between two `---` lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from prompts.types import AnswerStyle, Mapped
from tasks.errors import IclError
from tasks.types import KINDS, Kind

MAX_DEPTH = 3


def _word(value: object) -> object:
    """As in a task card: a number is a fine label or word, a truth value is a forgotten pair of quotes."""
    if isinstance(value, bool):
        raise ValueError(f"must be text, but YAML reads an unquoted yes/no/on/off/true/false as the truth value {value}; quote it")
    return str(value) if isinstance(value, int | float) else value


Word = Annotated[str, BeforeValidator(_word)]


def _words(value: object) -> object:
    return value if isinstance(value, list) else [value]


Words = Annotated[tuple[Word, ...], BeforeValidator(_words), Field(min_length=1)]
"""One word, or a list of which the first is the one that demonstrations show."""


class FrontMatter(BaseModel):
    """What it may say."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str | None = None
    description: str = ""
    kinds: Annotated[tuple[Kind, ...], Field(min_length=1)] = KINDS
    fields: tuple[str, ...] | None = None
    answer: AnswerStyle = "word"
    answer_prefix: str = " "
    label_words: dict[Word, Words] = Field(default_factory=dict)
    licence: str = "Apache-2.0"
    lint_ignore: tuple[Word, ...] = ()
    mapping: Mapped = "own"


def split_front_matter(source: str, where: str) -> tuple[FrontMatter, str, int]:
    """Front matter, body, and the number of lines before the body. Raises IclError with the line for what is wrong in it."""
    source = source.replace("\r\n", "\n")
    if not source.startswith("---\n"):
        return FrontMatter(), source, 0
    end = source.find("\n---\n", 3)
    if end < 0:
        raise IclError(f"{where}:1: the front matter is opened by '---' but never closed")
    values = _read(source[4 : end + 1], where)
    try:
        front = FrontMatter.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"] if part != "[key]")
        raise IclError(f"{where}: front matter, key '{key}': {first['msg'].removeprefix('Value error, ')}") from error
    return front, source[end + 5 :], source[: end + 5].count("\n")


def _read(text: str, where: str) -> Mapping[str, Any]:
    try:
        _check_plain(text, where)
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 2 if mark else 1
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        raise IclError(f"{where}:{line}: the front matter is not valid YAML: {problem}") from error
    except ValueError as error:  # such as a date that does not exist
        raise IclError(f"{where}: the front matter has a value that cannot be read ({error}); quote it") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise IclError(f"{where}:2: the front matter must be 'key: value' lines, but it is a {type(values).__name__}")
    return values


def _check_plain(text: str, where: str) -> None:
    """No aliases, no deep nesting, no key twice: YAML would repeat, recurse, or silently keep the last."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = (event.start_mark.line if event.start_mark else 0) + 2
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent) or depth > MAX_DEPTH:
            raise IclError(f"{where}:{line}: the front matter has keys, words and lists of words only: no aliases, nothing nested deeper")
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    for node in [root, *(value for _, value in root.value)] if isinstance(root, yaml.MappingNode) else []:
        seen: set[str] = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else []:
            if key.value in seen:
                raise IclError(f"{where}:{key.start_mark.line + 2}: the front matter has the key '{key.value}' twice")
            seen.add(key.value)
