"""A mirror of hub data: the rows of a card, fetched once into `DIR/<dataset>/`, from where they are read without a network.

A card may cut a mirror otherwise than the hub. The files hold what the card's rules for mirrors expect: a split of the hub, or those of
its rows whose text falls into the card's percents. Rows keep the ids that they have on the hub, so the same row is the same example.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.cache import file_sha256, locked, scratch_beside
from tasks.card import TaskCard
from tasks.cardfile import load_card
from tasks.cardsource import HubSource
from tasks.errors import DataError, IclError
from tasks.load import find_card, load_task
from tasks.normalise import bucket, example_key
from tasks.rows import examples_of, row_ids
from tasks.sources import SOURCES
from tasks.sources.hubcache import known_commit
from tasks.sources.types import Place, Rows

DESCRIPTION = "dataset.json"
SETTING = "ICL_DATA_DIR"


@dataclass(frozen=True)
class Cut:
    """What a file of the mirror holds: rows of a split of the hub whose text falls into these percents."""

    source: str
    low: int = 0
    high: int = 100

    @property
    def whole(self) -> bool:
        return (self.low, self.high) == (0, 100)


@dataclass(frozen=True)
class Mirrored:
    """A data set in a mirror."""

    task: str
    directory: Path
    made: bool
    """Whether it was fetched now; False when it was there."""
    rows: Mapping[str, int]
    """File's split → rows."""
    source: str
    """Empty for a mirror that was made otherwise."""
    licence: str


def mirror_task(name_or_path: str | Path, data_dir: Path) -> Mirrored:
    """Fetches a task's data into the mirror unless it is there; what is made is loaded once before it counts.

    Raises IclError for a task without hub data and for a directory that holds something else, FetchError for what cannot be fetched.
    """
    path = find_card(name_or_path)
    card = load_card(path)
    source = card.source
    if not isinstance(source, HubSource):
        raise IclError(f"task '{card.name}' needs no mirror: its data comes from {source.type}, not from the hub")
    target = data_dir / (source.mirror or card.name)
    if target.exists():  # looked at without a lock, since a mirror may be read-only
        return _there(card, target)
    with locked(target, SETTING):
        if target.exists():
            return _there(card, target)
        with scratch_beside(target, SETTING) as scratch:
            made = scratch / target.name
            made.mkdir()
            described = _write(card, path, made)
            load_task(path, scratch)
            made.replace(target)
    return _mirrored(card, target, described, made=True)


def cuts(card: TaskCard) -> dict[str, Cut]:
    """File of the mirror → what it holds. Where several roles share a file that the hub has as a split, it is that split, whole."""
    found = {}
    for name in card.split_names("mirror"):
        uses = [use for use in card.splits.values() if use.mirror.source == name]
        hub = {use.hub.source for use in uses}
        if len(uses) == 1 and uses[0].mirror.bounds == (0, 100):
            found[name] = Cut(uses[0].hub.source, *uses[0].hub.bounds)
        elif name in hub or len(hub) == 1:
            found[name] = Cut(name if name in hub else hub.pop())
        else:
            raise DataError(
                f"task '{card.name}': {name}.jsonl of a mirror would come from several splits of the hub: {', '.join(sorted(hub))}"
            )
    return found


def _write(card: TaskCard, path: Path, directory: Path) -> dict[str, Any]:
    """All files, the description last."""
    raw = SOURCES["hub"].read(card, Place(path.resolve().parent, None))
    ids = row_ids(raw.splits)
    files: dict[str, Any] = {}
    for name, cut in cuts(card).items():
        file = directory / f"{name}.jsonl"
        count = 0
        with file.open("w", encoding="utf-8", newline="\n") as out:
            for row in _rows(card, cut, raw.splits[cut.source], ids[cut.source]):
                out.write(_line(card, row))
                count += 1
        files[name] = {"rows": count, "sha256": file_sha256(file), **_said(cut)}
    described = {**_facts(card), "origin": raw.origin, "splits": files}
    (directory / DESCRIPTION).write_text(json.dumps(described, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return described


def _rows(card: TaskCard, cut: Cut, rows: Rows, ids: list[str]) -> Iterator[dict[str, Any]]:
    """The rows that a cut takes, each with its id. A row that is no example has no text to cut by; the cut from 0 on takes it, to be
    counted as left out when the mirror is read."""
    named = ({**row, "id": id} for row, id in zip(rows, ids, strict=True))
    if cut.whole:
        yield from named
        return
    for row, found in zip(named, examples_of(card, cut.source, rows, ids), strict=True):
        percent = 0 if isinstance(found, str) else bucket(example_key(found, card.kind))
        if cut.low <= percent < cut.high:
            yield row


def _line(card: TaskCard, row: Mapping[str, Any]) -> str:
    try:
        return json.dumps(row, ensure_ascii=False) + "\n"
    except TypeError as error:
        raise DataError(f"task '{card.name}', row {row['id']}: a mirror holds what JSON can say, but {error}") from None


def _facts(card: TaskCard) -> dict[str, Any]:
    """Where the data comes from and what it may be used for."""
    source = card.source
    assert isinstance(source, HubSource)
    return {
        "name": source.mirror or card.name,
        "kind": card.kind,
        "labels": list(card.labels),
        "source": {
            "hub": source.repo,
            "config": source.config,
            "revision": source.revision,
            "commit": known_commit(source) or None,
            "class_ids": source.class_ids,
        },
        "licence": card.licence,
        "citation": card.citation,
    }


def _said(cut: Cut) -> dict[str, Any]:
    return {"from": cut.source, "part": f"{cut.low}-{cut.high}"}


def _there(card: TaskCard, target: Path) -> Mirrored:
    """What the mirror has already. Raises IclError when that is damaged, or is not what this card would be given."""
    advice = "remove it to fetch it again, or name another directory with 'mirror' under source in the card"
    try:
        described = json.loads((target / DESCRIPTION).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        described = {}
    source = described.get("source") if isinstance(described, dict) else None
    if not isinstance(source, dict) or "hub" not in source:
        _check_files(card, target, advice)
        return Mirrored(card.name, target, False, {}, "", "")
    wanted = _facts(card)["source"]
    if other := [key for key in ("hub", "config", "revision", "class_ids") if source.get(key) != wanted[key]]:
        key = other[0]
        raise IclError(f"{target} holds other data than task '{card.name}' names ({key}: {source.get(key)}, not {wanted[key]}); {advice}")
    for name, cut in cuts(card).items():
        file = described["splits"].get(name)
        if file is None or {key: file.get(key) for key in ("from", "part")} != _said(cut):
            raise IclError(f"{target} was made for another card: its {name}.jsonl is not what task '{card.name}' needs; {advice}")
        if not (target / f"{name}.jsonl").is_file() or file_sha256(target / f"{name}.jsonl") != file["sha256"]:
            raise IclError(f"{target} is damaged: {name}.jsonl is not what was fetched; {advice}")
    return _mirrored(card, target, described, made=False)


def _check_files(card: TaskCard, target: Path, advice: str) -> None:
    if missing := [name for name in cuts(card) if not (target / f"{name}.jsonl").is_file()]:
        raise IclError(f"{target} exists, but has no {missing[0]}.jsonl, which task '{card.name}' needs; {advice}")


def _mirrored(card: TaskCard, target: Path, described: Mapping[str, Any], *, made: bool) -> Mirrored:
    rows = {name: file["rows"] for name, file in described["splits"].items()}
    source = described["source"]
    commit = f", commit {source['commit'][:12]}" if source["commit"] else ""
    return Mirrored(card.name, target, made, rows, f"{described['origin']}{commit}", card.licence)
