"""What a comparison has finished so far, kept in its run directory, so that it can be killed at any moment and goes on.

A *record* is the smallest thing kept: a meta-trained learner, or one played episode. A *part* is a directory of records, moved into place
whole (icl/runs/store.py): one safetensors file, whose header says in JSON what each record is, and the cost of everything since the part
before. A part is written when a second has passed, so that a learner which plays hundreds of episodes a second does not wait for the disk.
When records are written, and in which parts, changes no result.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from compare.midway import NAME, Midway
from icl.runs import Draft, write_json
from icl.runs.files import damaged, read_json
from tasks import IclError

if TYPE_CHECKING:
    from torch import Tensor

    from compare.course import Place

EVERY = 1.0
"""Seconds between two parts."""
FILE = "records.safetensors"


@dataclass(frozen=True)
class Record:
    """Values of JSON, and tensors by name."""

    facts: Mapping[str, Any]
    tensors: Mapping[str, Tensor] = field(default_factory=dict)


class Memory(Protocol):
    """Where records are looked up before anything is computed."""

    def get(self, key: str) -> Record | None:
        """None when it is not finished yet."""
        ...

    def put(self, key: str, record: Record) -> None:
        """Keeps a finished one."""
        ...

    def midway(self, key: str) -> Place | None:
        """Where a meta-training is kept that is not finished yet; None where nothing is kept."""
        ...


class Forgetful:
    """Keeps nothing."""

    def get(self, key: str) -> Record | None:
        """See Memory."""
        return None

    def put(self, key: str, record: Record) -> None:
        """See Memory."""

    def midway(self, key: str) -> Place | None:
        """See Memory."""
        return None


class Journal:
    """The records of a run being made. Raises IclError when it was begun by another spec.

    `begin` writes what stands before the first part, `after` what else is to be known after each of them; `spent` gives the cost of
    everything since it was last asked.
    """

    def __init__(
        self,
        draft: Draft,
        spec_sha256: str,
        begin: Callable[[], None],
        spent: Callable[[], dict[str, Any]],
        after: Callable[[], None],
    ) -> None:
        self.draft, self.spec_sha256, self.begin, self.spent, self.after = draft, spec_sha256, begin, spent, after
        self._waiting: dict[str, Record] = {}
        self._since = time.monotonic()
        self._parts = sorted(draft.partial.glob("part-*"))
        self._headers = {part: self._header(part / FILE) for part in self._parts}
        self._where = {key: part for part, header in self._headers.items() for key in header}

    def __contains__(self, key: str) -> bool:
        return key in self._where or key in self._waiting

    def get(self, key: str) -> Record | None:
        """See Memory."""
        if key in self._waiting:
            return self._waiting[key]
        if key not in self._where:
            return None
        part = self._where[key]
        known = self._headers[part][key]
        return Record(known["facts"], _tensors(part / FILE, key, known["tensors"]))

    def put(self, key: str, record: Record) -> None:
        """See Memory."""
        self._waiting[key] = record
        if time.monotonic() - self._since >= EVERY:
            self.flush()

    def midway(self, key: str) -> Midway:
        """See Memory."""
        return Midway(self.draft.partial / NAME, key, self.spec_sha256, check_same_spec, lambda: self.flush(costs_alone=True))

    def flush(self, costs_alone: bool = False) -> None:
        """Writes what is waiting as one part; `costs_alone`: even if that is nothing but what was spent since the last."""
        if not self._waiting and not costs_alone:
            return
        if not self.draft.partial.is_dir():
            self.begin()
        header = {key: {"facts": dict(r.facts), "tensors": sorted(r.tensors)} for key, r in self._waiting.items()}
        tensors = {f"{key}/{name}": value for key, r in self._waiting.items() for name, value in r.tensors.items()}
        name = f"part-{len(self._parts) + 1:05d}"

        def write(work: Path) -> None:
            _write(work / FILE, tensors, {"spec_sha256": self.spec_sha256, "records": header})
            write_json(work / "cost.json", self.spent())

        self.draft.keep(name, write)
        part = self.draft.partial / name
        self._parts.append(part)
        self._headers[part] = header
        self._where |= dict.fromkeys(header, part)
        self._waiting, self._since = {}, time.monotonic()
        self.after()

    def costs(self) -> list[dict[str, Any]]:
        """Of every part, by whichever process, and of what came after the last."""
        return [*(read_json(part / "cost.json") for part in self._parts), self.spent()]

    def _header(self, path: Path) -> dict[str, Any]:
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="pt") as file:
                header = json.loads(file.metadata()["journal"])
            records: dict[str, Any] = header["records"]
            begun = str(header["spec_sha256"])
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise damaged(path, str(error)) from error
        check_same_spec(path.parent.parent, begun, self.spec_sha256)
        return records


def check_same_spec(place: Path, begun: str, wanted: str) -> None:
    """Raises IclError when what was kept belongs to another comparison than the one that is asked for."""
    if begun != wanted:
        raise IclError(
            f"{place} cannot go on: it was begun with spec {begun}, but the same spec is {wanted} now, since the program, or its template, "
            "data or model has changed; remove it, or compare anew with --fresh"
        )


def _tensors(path: Path, key: str, names: list[str]) -> dict[str, Tensor]:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        # Cloned: compare/checkpoint.py says why.
        return {name: file.get_tensor(f"{key}/{name}").clone() for name in names}


def _write(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    from safetensors.torch import save

    text = json.dumps(header, ensure_ascii=False, allow_nan=False)
    path.write_bytes(save({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, {"journal": text}))
