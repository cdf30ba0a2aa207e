"""CSV, JSON-lines and Parquet files that stand beside a card, or in a mirror of the hub."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tasks.card import TaskCard
from tasks.cardsource import FilesSource
from tasks.errors import DataError
from tasks.sources.package import decode
from tasks.sources.types import Place, Raw, Rows

FORMATS = {".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}


class Files:
    """Source `files`."""

    def read(self, card: TaskCard, place: Place) -> Raw:
        source = card.source
        assert isinstance(source, FilesSource)
        files = source.files()
        for name in card.split_names(""):
            if name not in files:
                raise DataError(f"card '{card.name}' uses the split '{name}', but its source has {', '.join(files)}")
        splits = {}
        for name in card.split_names(""):
            path = inside(place.card_dir, files[name])
            splits[name] = read_file(path, source.format, "\t" if path.suffix == ".tsv" else source.delimiter)
        return Raw(splits, f"files {', '.join(files.values())}")


def inside(directory: Path, name: str) -> Path:
    """The file of that name, which must lie in the card's directory once symbolic links are followed.

    A card may come from a stranger: it must not make the program read (and show in a report) any other file of this machine.
    """
    path = (directory / name).resolve()
    if not path.is_relative_to(directory.resolve()):
        raise DataError(f"a card's files must lie in its own directory, but '{name}' leads to {path}")
    if not path.is_file():
        raise DataError(f"the card names the file '{name}', but there is none in {directory}")
    return path


def read_file(path: Path, format: str | None = None, delimiter: str = ",") -> Rows:
    """All rows of a file. Raises DataError: file, row, and what is wrong there."""
    kind = format or FORMATS.get(path.suffix.lower())
    if kind is None:
        raise DataError(f"{path.name}: the suffix must be one of {', '.join(FORMATS)}, or the card must say 'format:'")
    try:
        return READERS[kind](path, delimiter)
    except OSError as error:
        raise DataError(f"{path.name}: cannot be read ({error.strerror or error})") from error


def _csv(path: Path, delimiter: str) -> Rows:
    """Header, then rows. Quoted cells may hold line breaks, so rows are counted, and lines named where the reader is."""
    text = decode(path.read_bytes(), path.name)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[dict[str, Any]] = []
    header: list[str] | None = None
    try:
        for cells in reader:
            if not cells:
                continue
            if header is None:
                header = _header(path, cells)
            elif len(cells) != len(header):
                raise DataError(
                    f"{path.name}:{reader.line_num}: row {len(rows) + 1} has {len(cells)} cells, but the header has {len(header)}"
                )
            else:
                rows.append(dict(zip(header, cells, strict=True)))
    except csv.Error as error:
        raise DataError(f"{path.name}:{reader.line_num}: row {len(rows) + 1} is malformed ({error})") from None
    if header is None:
        raise DataError(f"{path.name}: the file is empty; its first line must name the columns")
    return rows


def _header(path: Path, cells: list[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    if len(set(names)) != len(names) or "" in names:
        raise DataError(f"{path.name}:1: the first line must name the columns, each once, but is {', '.join(names)}")
    return names


def _jsonl(path: Path, delimiter: str) -> Rows:
    text = decode(path.read_bytes(), path.name)
    rows: list[dict[str, Any]] = []
    # Line feeds only: other separators of Unicode may stand unescaped inside a JSON string.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise DataError(f"{path.name}:{number}: not valid JSON ({error})") from None
        if not isinstance(row, dict):
            raise DataError(f"{path.name}:{number}: every line must be a JSON object, but this is a {type(row).__name__}")
        rows.append(row)
    return rows


def _parquet(path: Path, delimiter: str) -> Rows:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows: Rows = pq.ParquetFile(path).read().to_pylist()
    except pa.ArrowException as error:
        raise DataError(f"{path.name}: not a readable Parquet file ({str(error).splitlines()[0]})") from None
    return rows


READERS: dict[str, Callable[[Path, str], Rows]] = {"csv": _csv, "jsonl": _jsonl, "parquet": _parquet}
