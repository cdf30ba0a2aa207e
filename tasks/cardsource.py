"""What a task card may say about where its rows come from: one strict model per kind of source."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator


def _text(value: object) -> object:
    """A number is a fine label or word; a YAML truth value is nearly always a forgotten pair of quotes."""
    if isinstance(value, bool):
        raise ValueError(f"must be text, but YAML reads an unquoted yes/no/on/off/true/false as the truth value {value}; quote it")
    return str(value) if isinstance(value, int | float) else value


LINE = r"^[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$"
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
FIELD = r"^[a-z][a-z0-9_]*$"
REPOSITORY = r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?$"
INSIDE = r"^[^/\\\x00\n\r.][^/\\\x00\n\r]*$"
REVISION = r"^[A-Za-z0-9][A-Za-z0-9_-]*([./][A-Za-z0-9_-]+)*$"
PERCENTS = r"^\d{1,3}-\d{1,3}$"
SHA256 = r"^[0-9a-f]{64}$"
RULES = {
    LINE: "must be one line of text that is not empty",
    NAME: "must be letters, digits, '.', '_' and '-', and begin with a letter or a digit",
    FIELD: "must be lower-case letters, digits and '_', and begin with a letter",
    REPOSITORY: "must be a repository's name such as owner/name",
    INSIDE: "must be a name without slashes",
    REVISION: "must be a branch, a tag or a commit",
    PERCENTS: "must be two percents such as 0-60",
    SHA256: "must be 64 hexadecimal digits",
}
"""Pattern → what a complaint says instead of it."""

Text = Annotated[str, BeforeValidator(_text)]
Line = Annotated[str, StringConstraints(pattern=LINE)]
Name = Annotated[str, StringConstraints(pattern=NAME, max_length=100)]
FieldName = Annotated[str, StringConstraints(pattern=FIELD, max_length=60)]

FORMATS = {".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
"""Suffix of a file → its format."""


def _listed(value: object) -> object:
    if not isinstance(value, str | list):
        raise ValueError(f"must be the name of a column or a list of names, but got {value!r}; quote a number")
    return [value] if isinstance(value, str) else value


Column = Annotated[tuple[Line, ...], BeforeValidator(_listed), Field(min_length=1)]
"""A column path (`choices.text` reaches into a struct), or several: the first that the data has."""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HubSource(Strict):
    """A repository of the Hugging Face hub, or its copy in a mirror directory."""

    type: Literal["hub"]
    repo: Annotated[str, StringConstraints(pattern=REPOSITORY)]
    config: Annotated[str, StringConstraints(pattern=INSIDE)] | None = None
    revision: Annotated[str, StringConstraints(pattern=REVISION)] = "main"
    mirror: Name | None = None
    """Directory name in the mirror; the card's name unless given."""
    class_ids: bool = Field(default=False, strict=True)
    """Ids of classes stay numbers, instead of the names that the repository gives them."""


class FilesSource(Strict):
    """CSV, JSON-lines or Parquet files beside the card."""

    type: Literal["files"]
    path: Line | None = None
    """One file: its rows are the split `all`."""
    paths: dict[Name, Line] = Field(default_factory=dict)
    """Split name → file."""
    format: Literal["csv", "jsonl", "parquet"] | None = None
    """Taken from the file's suffix unless given."""
    delimiter: str | None = None
    """CSV: one character between the cells; a tab in .tsv files, a comma in others unless given."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.path is None) == (not self.paths):
            raise ValueError("give either 'path' (one file, the split 'all') or 'paths' (split name: file)")
        if self.delimiter is not None:
            if len(self.delimiter) != 1 or self.delimiter in '"\n\r\0':
                raise ValueError(f'delimiter must be one character, such as ";" or "\\t" (a tab), but got {self.delimiter!r}')
            if not any((self.format or FORMATS.get(PurePath(file).suffix.lower())) == "csv" for file in self.files().values()):
                raise ValueError("delimiter is for CSV files, but the card names none; say 'format: csv' if they are, or leave it out")
        return self

    def files(self) -> dict[str, str]:
        """Split name → path as the card writes it."""
        return dict(self.paths) if self.path is None else {"all": self.path}


class PackageSource(Strict):
    """A tab-separated text file inside a source archive of the Python package registry; its rows are the split `all`."""

    type: Literal["package"]
    distribution: Name
    version: Name
    filename: Name
    sha256: Annotated[str, StringConstraints(pattern=SHA256)]
    size: Line = ""
    members: tuple[Line, ...] = Field(min_length=1)
    """The way in: the last is the text file, the ones before it are archives inside each other."""
    columns: tuple[Line, ...] = Field(min_length=1)
    unescape_html: bool = False


class Repair(Strict):
    """What is put right about one row of a generator."""

    input: Line | None = None
    answers: tuple[Text, ...] = ()


class GeneratorSource(Strict):
    """Rows made by a function of `tasks.sources.words` from an installed package; they are the split `all`."""

    type: Literal["generator"]
    name: Line
    words: tuple[Text, ...] = ()
    """The inputs to ask for, in this order (past-tense, plural)."""
    keep: tuple[Text, ...] = ()
    """Only these rows (element-symbol, countries); empty keeps all."""
    drop: tuple[Text, ...] = ()
    repairs: dict[Text, Repair] = Field(default_factory=dict)
    """Input as the package has it → another input, other answers (the first is the target)."""


Source = Annotated[HubSource | FilesSource | PackageSource | GeneratorSource, Field(discriminator="type")]
