"""The tables of a run, as Arrow: raw scores, content-free scores, prompts. Everything that a report shows is derived from them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from icl.runs.files import damaged, writing

PREDICTIONS = pa.schema(
    [
        ("episode", pa.string()),
        ("query", pa.string()),
        ("candidate", pa.string()),  # label; empty for a generated answer
        ("text", pa.string()),  # the scored characters, or what the model wrote
        ("logprob", pa.float64()),  # natural log, summed over the span; null for a generated answer
        ("tokens", pa.int32()),  # in the scored span
        ("predicted", pa.string()),  # by the sums, uncalibrated; for a generated answer, the answer found in the text
        ("target", pa.string()),
        ("answers", pa.list_(pa.string())),  # generation: every accepted answer
    ]
)
FREE = pa.schema(
    [
        ("episode", pa.string()),
        ("part", pa.string()),  # content_free, domain, premise, channel or estimation
        ("item", pa.string()),
        ("belongs_to", pa.string()),  # query whose context this is; empty when the episode shares it
        ("candidate", pa.string()),
        ("text", pa.string()),
        ("logprob", pa.float64()),
        ("tokens", pa.int32()),
    ]
)
PROMPTS = pa.schema(
    [
        ("episode", pa.string()),
        ("query", pa.string()),
        ("context", pa.large_string()),  # everything before the answer, exactly
        ("special_tokens", pa.bool_()),  # whether the tokenizer adds its own
        ("demonstrations", pa.list_(pa.string())),
        ("shown", pa.list_(pa.string())),  # the labels or answers that they show
        ("dropped", pa.int32()),
        ("tokens", pa.int32()),  # of the longest prompt, with what the model may write; null in runs from before this was kept
    ]
)
NEIGHBOURS = pa.schema(
    [
        ("episode", pa.string()),
        ("query", pa.string()),
        ("part", pa.string()),  # divergence: from every anchor; hidden: from the centroid of every label
        ("names", pa.list_(pa.string())),  # of anchors, or of labels
        ("labels", pa.list_(pa.string())),
        ("distances", pa.list_(pa.float64())),  # nats; or units of the hidden states
    ]
)
SCHEMAS = {"predictions": PREDICTIONS, "content_free": FREE, "prompts": PROMPTS, "neighbours": NEIGHBOURS}
SOMETIMES = frozenset({"neighbours"})
"""Tables that only runs have whose calibrations need them."""

BATCH = 256
"""Rows that are read at a time, where not all are."""

Rows = list[dict[str, Any]]


def write_tables(directory: Path, tables: dict[str, Rows]) -> None:
    """One Parquet file per table."""
    for name, rows in tables.items():
        _write([pa.Table.from_pylist(rows, schema=SCHEMAS[name])], directory, name)


def join_tables(parts: Sequence[Path], directory: Path) -> None:
    """The tables of all parts, in their order, as one file each; one part at a time is in memory."""
    for name in SCHEMAS:
        if name in SOMETIMES and not any((part / f"{name}.parquet").exists() for part in parts):
            continue
        _write((_read(part, name) for part in parts), directory, name)


def read_table(directory: Path, name: str, columns: Sequence[str] | None = None) -> Rows:
    """Rows of a table as dictionaries, in the order written; none of a table that only some runs have. `columns` of None: all.

    Raises IclError when the file is missing or damaged.
    """
    if name in SOMETIMES and not (directory / f"{name}.parquet").exists():
        return []
    rows: Rows = _read(directory, name, columns).to_pylist()
    return rows


def read_batches(directory: Path, name: str, columns: Sequence[str]) -> Iterator[Rows]:
    """The rows some at a time: the prompts of a large run need not all be in memory. Raises IclError as `read_table`."""
    path = directory / f"{name}.parquet"
    with _reading(path), pq.ParquetFile(path) as file:
        for batch in file.iter_batches(BATCH, columns=list(columns)):
            yield batch.to_pylist()


def _write(tables: Iterable[pa.Table], directory: Path, name: str) -> None:
    path = directory / f"{name}.parquet"
    with writing(path), pq.ParquetWriter(path, SCHEMAS[name], compression="zstd") as writer:
        for table in tables:
            writer.write_table(table)


def _read(directory: Path, name: str, columns: Sequence[str] | None = None) -> pa.Table:
    path = directory / f"{name}.parquet"
    with _reading(path):
        return pq.read_table(path, columns=list(columns) if columns else None, schema=SCHEMAS[name])


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Raises IclError when the file is missing or damaged."""
    try:
        yield
    except FileNotFoundError as error:
        raise damaged(path, "the file is missing") from error
    except PermissionError:
        raise
    except (pa.ArrowException, OSError) as error:  # what Arrow cannot parse comes as either
        raise damaged(path, str(error).splitlines()[0]) from error
