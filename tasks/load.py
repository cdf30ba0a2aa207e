"""From a name or a card to a task with its data."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.card import METRICS, TEMPLATES, TaskCard
from tasks.cardfile import load_card
from tasks.coverage import label_remarks
from tasks.distractors import with_distractors
from tasks.errors import IclError, unknown_name
from tasks.rows import examples_of, row_ids
from tasks.sources import SOURCES
from tasks.sources.types import Place, Raw
from tasks.splits import Parted, part
from tasks.types import Example, Examples, Task
from tasks.workspace import workspace_card, workspace_dir, workspace_names

if TYPE_CHECKING:
    from datasets import Dataset

LIBRARY = Path(__file__).parent / "library"


def library_names() -> list[str]:
    """Names of the tasks that come with the program, sorted."""
    return sorted(path.stem for path in LIBRARY.glob("*.yaml"))


def find_card(name_or_path: str | Path) -> Path:
    """The card's file: a path when it is one (ends in .yaml or .yml, or holds a separator), else that of the library or the workspace."""
    name = str(name_or_path)
    separators = [os.sep, *([os.altsep] if os.altsep else [])]
    if isinstance(name_or_path, Path) or name.endswith((".yaml", ".yml")) or any(mark in name for mark in separators):
        path = Path(name_or_path).expanduser()
        try:
            there, file = path.exists(), path.is_file()
        except (OSError, ValueError) as error:
            raise IclError(f"a task must be a name of the library or a card's file, but {path} cannot be read ({error})") from None
        if not file:
            found = f"{path} is no file" if there else f"there is no file {path}"
            raise IclError(f"a task must be a name of the library or a card's file, but {found}")
        return path
    if name in library_names():
        return LIBRARY / f"{name}.yaml"
    workspace = workspace_dir()
    if (card := workspace_card(name, workspace)) is not None:
        return card
    known = [*library_names(), *workspace_names(workspace)]
    raise unknown_name("task", name, known, "('icl tasks list' shows them; a card of your own: its path, ending in .yaml)")


def load_task(name_or_path: str | Path, data_dir: Path | None = None) -> Task:
    """The task of a name or a card, with its data. Nothing is kept in memory between calls.

    `data_dir` is a mirror directory looked in before the hub (otherwise the environment's ICL_DATA_DIR). Raises IclError for an unknown
    name or a broken card, DataError for data that breaks the card's rules, FetchError for what cannot be fetched.
    """
    path = find_card(name_or_path)
    card = _template_beside(load_card(path), path)
    raw = SOURCES[card.source.type].read(card, Place(path.resolve().parent, _mirror(data_dir)))
    parted = _examples(card, raw)
    roles = with_distractors(card.name, parted.roles, card.distractors)
    return _task(card, raw.origin, roles, parted.dropped, label_remarks(card, roles))


def _template_beside(card: TaskCard, path: Path) -> TaskCard:
    """The card with the path of its template where that is a file beside it; any other name means what it means to whoever reads it."""
    beside = path.parent / card.template
    return card.model_copy(update={"template": str(beside)}) if card.template.endswith(".jinja") and beside.is_file() else card


def _mirror(data_dir: Path | None) -> Path | None:
    """The mirror directory asked for. One that does not exist is a mistake, not a reason to go to the hub."""
    named = os.environ.get("ICL_DATA_DIR", "").strip()
    chosen = data_dir if data_dir is not None else Path(named) if named else None
    if chosen is not None and not chosen.expanduser().is_dir():
        origin = "--data-dir" if data_dir is not None else "ICL_DATA_DIR"
        raise IclError(f"{origin} must be a directory, but {chosen} is not")
    return chosen.expanduser() if chosen is not None else None


def _examples(card: TaskCard, raw: Raw) -> Parted:
    """Rows become examples, then roles."""
    ids = row_ids(raw.splits)
    left_out: Counter[str] = Counter()
    splits: dict[str, list[Example]] = {}
    for name, rows in raw.splits.items():
        splits[name] = kept = []
        for found in examples_of(card, name, rows, ids[name]):
            if isinstance(found, str):
                left_out[found] += 1
            else:
                kept.append(found)
    return part(card, splits, raw.variant, left_out)


def _fingerprint(card: TaskCard, roles: Mapping[str, Sequence[Example]]) -> str:
    """sha256 over every example and what a prompt or a score can see of the card, as canonical JSON.

    Comments, quotes, names of columns and files, the licence: none of them makes other data. A template has a fingerprint of its own.
    """
    said: list[Any] = [
        card.name,
        card.kind,
        card.description,
        list(card.inputs),
        list(card.labels.items()),
        card.metrics or METRICS[card.kind],
    ]
    if card.kind == "generation":
        said += [card.max_new_tokens, card.stop, card.answer_pattern]
    digest = hashlib.sha256(_canonical(said))
    for role in sorted(roles):
        for e in roles[role]:
            digest.update(b"\n" + _canonical([role, e.id, dict(e.inputs), e.target, e.choices, e.answers]))
    return digest.hexdigest()


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":")).encode("ascii")


def _task(card: TaskCard, origin: str, roles: Mapping[str, list[Example]], dropped: Mapping[str, int], remarks: tuple[str, ...]) -> Task:
    return Task(
        name=card.name,
        kind=card.kind,
        description=card.description,
        fields=tuple(card.inputs),
        labels=tuple(card.labels),
        label_words=dict(card.labels),
        splits={role: Examples(_table(rows, tuple(card.inputs))) for role, rows in roles.items()},
        default_template=card.template or TEMPLATES[card.kind],
        metrics=card.metrics or METRICS[card.kind],
        licence=card.licence,
        citation=card.citation,
        source=origin,
        fingerprint=_fingerprint(card, roles),
        notes=card.notes,
        related=card.related,
        classes=dict(card.classes),
        overlaps=card.overlaps,
        max_new_tokens=card.max_new_tokens if card.kind == "generation" else 0,
        stop=card.stop if card.kind == "generation" else (),
        answer_pattern=card.answer_pattern,
        dropped=dropped,
        remarks=remarks,
    )


def _table(rows: Sequence[Example], fields: Sequence[str]) -> Dataset:
    """An Arrow table with the columns that `Examples` reads."""
    import pyarrow as pa
    from datasets import Dataset

    text, texts = pa.string(), pa.list_(pa.string())
    schema: Any = pa.schema(
        {"id": text, "target": text, "inputs": pa.struct([(name, text) for name in fields]), "choices": texts, "answers": texts}
    )
    columns = {
        "id": [e.id for e in rows],
        "target": [e.target for e in rows],
        "inputs": [dict(e.inputs) for e in rows],
        "choices": [list(e.choices) for e in rows],
        "answers": [list(e.answers) for e in rows],
    }
    return Dataset(pa.table(columns, schema=schema))
