"""Episodes on disk: one line of JSON each. All methods of a comparison read the same file, known by its sha256."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from tasks.errors import DataError, IclError
from tasks.types import Episode

Id = Annotated[str, StringConstraints(min_length=1, max_length=500)]


class _Line(BaseModel):
    """What a line must say, and nothing else."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    task: Id
    labels: list[Id] = []
    support_split: Id
    support: list[Id] | None
    query_split: Id
    query: list[Id]
    task_fingerprint: str = ""


def episode_json(episode: Episode) -> str:
    """One canonical line, without its line end."""
    return json.dumps(
        {
            "id": episode.id,
            "task": episode.task,
            "labels": episode.labels,
            "support_split": episode.support_split,
            "support": episode.support,
            "query_split": episode.query_split,
            "query": episode.query,
            "task_fingerprint": episode.task_fingerprint,
        },
        ensure_ascii=False,
    )


def episodes_bytes(episodes: Sequence[Episode]) -> bytes:
    """What `write_episodes` writes."""
    return "".join(episode_json(episode) + "\n" for episode in episodes).encode("utf-8")


def episodes_sha256(episodes: Sequence[Episode]) -> str:
    """sha256 of the file that `write_episodes` writes."""
    return hashlib.sha256(episodes_bytes(episodes)).hexdigest()


def write_episodes(path: Path, episodes: Sequence[Episode]) -> None:
    """Raises IclError when the file cannot be written."""
    try:
        path.write_bytes(episodes_bytes(episodes))
    except OSError as error:
        raise IclError(f"{path}: cannot be written ({error.strerror})") from error


def read_episodes(path: Path) -> list[Episode]:
    """Raises DataError naming file and line for anything that is not an episode, and for a file without any."""
    if "\0" in str(path):
        raise IclError(f"a path must not hold a NUL character, but the episodes file is {str(path)!r}")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise IclError(f"{path}: there is no such file") from None
    except OSError as error:
        raise IclError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        at = error.object[: error.start].count(b"\n") + 1
        raise DataError(f"{path}:{at}: an episodes file must be UTF-8, but byte 0x{error.object[error.start]:02x} is not") from None
    episodes: list[Episode] = []
    first: dict[str, int] = {}
    shown: dict[str, int] = {}
    asked: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        episode = _episode(line, f"{path}:{number}")
        if episode.id in first:
            raise DataError(f"{path}:{number}: episode ids must differ, but {episode.id} stands on line {first[episode.id]} already")
        first[episode.id] = number
        shown.setdefault(episode.support_split, number)
        asked.setdefault(episode.query_split, number)
        for split in shown.keys() & asked.keys():
            # Also for listed rows, and across lines: what one episode shows, another may ask.
            raise DataError(
                f"{path}:{number}: demonstrations would come from the evaluated rows: '{split}' is the support_split of line "
                f"{shown[split]} and the query_split of line {asked[split]}; no split may be both in one file"
            )
        episodes.append(episode)
    if not episodes:
        raise DataError(f"{path}: an episodes file must have at least one line")
    return episodes


def _episode(line: str, place: str) -> Episode:
    try:
        found = _Line.model_validate_json(line)
    except ValidationError as error:
        detail = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, detail["loc"]))
        raise DataError(f"{place}: not an episode: {f'{where}: ' if where else ''}{detail['msg']}") from None
    if not found.query:
        raise DataError(f"{place}: an episode must have at least one query")
    if len(set(found.labels)) != len(found.labels):
        raise DataError(f"{place}: labels in play must differ, but got {', '.join(found.labels)}")
    return Episode(
        id=found.id,
        task=found.task,
        support_split=found.support_split,
        support=None if found.support is None else tuple(found.support),
        query_split=found.query_split,
        query=tuple(found.query),
        labels=tuple(found.labels),
        task_fingerprint=found.task_fingerprint,
    )
