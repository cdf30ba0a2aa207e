"""Small task cards with files, for the tests of this package."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Rows = Sequence[Mapping[str, Any]]


def jsonl(path: Path, rows: Rows) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def write_card(directory: Path, rows: Rows | Mapping[str, Rows], **changes: Any) -> Path:
    """A two-label card beside JSON-lines data; `changes` replace keys of the card (None removes one)."""
    splits = rows if isinstance(rows, Mapping) else {"all": rows}
    for name, split in splits.items():
        jsonl(directory / f"{name}.jsonl", split)
    card: dict[str, Any] = {
        "name": "toy",
        "kind": "classification",
        "description": "A toy task.",
        "source": {"type": "files", "paths": {name: f"{name}.jsonl" for name in splits}},
        "splits": {"demonstration": {"from": "all", "part": "0-60"}, "test": {"from": "all", "part": "60-100"}},
        "inputs": {"text": "text"},
        "target": "label",
        "labels": {"bad": "bad", "good": "good"},
        **changes,
    }
    path = directory / "toy.yaml"
    path.write_text(json.dumps({key: value for key, value in card.items() if value is not None}), encoding="utf-8")
    return path


def reviews(n: int) -> list[dict[str, str]]:
    """n different rows, labels in turn."""
    return [{"id": f"r{i}", "text": f"review number {i}", "label": ("bad", "good")[i % 2]} for i in range(n)]
