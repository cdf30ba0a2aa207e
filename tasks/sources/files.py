"""CSV, JSON-lines and Parquet files that stand beside a card, or in a mirror of the hub."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tasks.card import TaskCard
from tasks.cardsource import FORMATS, FilesSource
from tasks.errors import DataError, shorten
from tasks.sources.package import decode
from tasks.sources.types import FileRows, Place, Raw, Rows

MAX_CELL = 10_000_000
"""Characters of one cell of a CSV file; more is nearly always a quote that is never closed."""


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
            splits[name] = read_file(path, files[name], source.format, source.delimiter)
        return Raw(splits, f"files {', '.join(files.values())}")


def inside(directory: Path, name: str) -> Path:
    """The file of that name, which must lie in the card's directory once symbolic links are followed.

    A card may come from a stranger: it must not make the program read (and show in a report) any other file of this machine.
    """
    shown = shorten(name, 100)
    try:
        path = (directory / name).resolve()
        within, there = path.is_relative_to(directory.resolve()), path.exists()
    except (OSError, ValueError, RuntimeError) as error:  # too long, a NUL inside, a link that leads to itself
        raise DataError(f"the card names the file '{shown}', which cannot be read ({shorten(str(error), 100)})") from None
    if not within:
        raise DataError(f"a card's files must lie in its own directory, but '{shown}' leads to {path}")
    if not there:
        raise DataError(f"the card names the file '{shown}', but there is none in {directory}")
    if not path.is_file():
        raise DataError(f"the card names '{shown}', which must be a file, but is a {'directory' if path.is_dir() else 'device'}")
    return path


def read_file(path: Path, name: str, format: str | None = None, delimiter: str | None = None) -> Rows:
    """All rows of a file; messages call it `name`. Raises DataError: file and line (or row), and what is wrong there."""
    kind = format or FORMATS.get(Path(name).suffix.lower()) or FORMATS.get(path.suffix.lower())
    if kind is None:
        raise DataError(f"{name}: the suffix must be one of {', '.join(FORMATS)}, or the card must say 'format' under 'source'")
    try:
        return READERS[kind](path, name, delimiter)
    except OSError as error:
        raise DataError(f"{name}: cannot be read ({error.strerror or error})") from error


def _csv(path: Path, name: str, delimiter: str | None) -> FileRows:
    """Header, then rows; a row is named by the line that it begins on, since quoted cells may hold line breaks."""
    text = decode(path.read_bytes(), name)
    mark = delimiter or ("\t" if name.lower().endswith(".tsv") else ",")
    csv.field_size_limit(MAX_CELL)  # of the whole process; Python's own 131072 refuses long documents
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
    rows: list[dict[str, Any]] = []
    lines: list[int] = []
    header: list[str] = []
    advice, line = "", 1
    try:
        for cells in reader:
            begun, line = line, reader.line_num + 1
            if not cells:
                continue
            if not header:
                header = _header(name, begun, cells)
                advice = _other_delimiter(header, mark)
            elif len(cells) != len(header):
                raise DataError(f"{name}:{begun}: row {len(rows) + 1} has {len(cells)} cells, but the header has {len(header)}{advice}")
            else:
                rows.append(dict(zip(header, cells, strict=True)))
                lines.append(begun)
    except csv.Error as error:
        advice = advice or _other_delimiter([text.partition("\n")[0]], mark)
        raise DataError(f"{name}:{line}: row {len(rows) + 1} is malformed ({error}){advice}") from None
    if not header:
        raise DataError(f"{name}: the file is empty; its first line must name the columns")
    return FileRows(name, rows, lines, advice)


def _header(name: str, line: int, cells: list[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    if len(set(names)) != len(names) or "" in names:
        raise DataError(f"{name}:{line}: the first line must name the columns, each once, but is {', '.join(names)}")
    return names


def _other_delimiter(header: list[str], mark: str) -> str:
    """A header with a separator of another kind in a name was nearly always written with that one."""
    for other, shown in {";": ";", "\t": r"\t", "|": "|", ",": ","}.items():
        if other != mark and any(other in name for name in header):
            used = {"\t": "a tab"}.get(mark, f"'{mark}'")
            return (
                f"; cells were separated at {used}, and the header holds '{shown}': if that separates the columns, "
                f'write delimiter: "{shown}" under source in the card'
            )
    return ""


def _jsonl(path: Path, name: str, delimiter: str | None) -> FileRows:
    text = decode(path.read_bytes(), name)
    rows: list[dict[str, Any]] = []
    lines: list[int] = []
    # Line feeds only: other separators of Unicode may stand unescaped inside a JSON string.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:  # ValueError: also a number of more digits than Python reads
            why = str(error).partition(";")[0]
            raise DataError(f"{name}:{number}: not valid JSON ({why}); every line must be one JSON object") from None
        if not isinstance(row, dict):
            raise DataError(f"{name}:{number}: every line must be a JSON object, but this is a {type(row).__name__}")
        rows.append(row)
        lines.append(number)
    return FileRows(name, rows, lines)


def _parquet(path: Path, name: str, delimiter: str | None) -> FileRows:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return FileRows(name, pq.ParquetFile(path).read().to_pylist(), ())
    except (pa.ArrowException, ValueError) as error:  # ValueError: text that is not UTF-8, a time that Python has no type for
        raise DataError(f"{name}: not a readable Parquet file ({str(error).splitlines()[0]})") from None


READERS: dict[str, Callable[[Path, str, str | None], Rows]] = {"csv": _csv, "jsonl": _jsonl, "parquet": _parquet}
