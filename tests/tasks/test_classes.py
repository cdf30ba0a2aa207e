"""Held-out classes: their rows, all of them, in two halves; and what a card may not say about them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tasks import IclError
from tasks.classes import class_task
from tasks.load import load_task
from tasks.normalise import example_key
from tasks.types import Task

LABELS = [f"c{i}" for i in range(8)]
CLASSES = {"train": LABELS[:3], "validation": LABELS[3:5], "test": LABELS[5:]}


def card(directory: Path, **changes: Any) -> Path:
    lines = ["text,label"] + [f"row {i} of its class,{LABELS[i % 8]}" for i in range(400)]
    (directory / "many.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    content = {
        "name": "many", "kind": "classification", "description": "Made up.", "source": {"type": "files", "path": "many.csv"},
        "splits": {"demonstration": {"from": "all", "part": "0-60"}, "test": {"from": "all", "part": "60-100"}},
        "inputs": ["text"], "target": "label", "labels": LABELS, "classes": CLASSES, **changes,
    }  # fmt: skip
    path = directory / "many.yaml"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def keys(task: Task, *roles: str) -> set[str]:
    return {example_key(e, task.kind) for role in roles or task.splits for e in task.splits[role]}


def test_parts_have_all_rows_of_their_classes_in_two_halves(tmp_path: Path) -> None:
    task = load_task(card(tmp_path))
    parts = {part: class_task(task, part) for part in task.classes}
    for part, found in parts.items():
        assert list(found.labels) == list(task.classes[part])
        assert {e.target for split in found.splits.values() for e in split} == set(task.classes[part])
        assert not keys(found, "demonstration") & keys(found, "test")
        assert min(len(split) for split in found.splits.values()) > 0.3 * len(keys(found))
    assert keys(parts["train"]) | keys(parts["validation"]) | keys(parts["test"]) == keys(task)
    assert sum(len(keys(found)) for found in parts.values()) == len(keys(task))
    assert len({task.fingerprint, *(found.fingerprint for found in parts.values())}) == 4


def test_a_task_without_classes_is_told_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(IclError, match=r"add 'classes: \{train: \[LABEL, …\]"):
        class_task(load_task(card(tmp_path, classes={})), "test")


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ({**CLASSES, "test": ["c0", "c5"]}, "classes must be disjoint, but c0 stands twice"),
        ({**CLASSES, "test": ["c5", "c9"]}, "classes must be labels of the card, but c9 is none"),
        ({"train": LABELS[:3], "test": LABELS[3:]}, "but not for validation"),
        ({**CLASSES, "held": ["c1"]}, "train"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, classes: Any, message: str) -> None:
    with pytest.raises(IclError, match=message) as raised:
        load_task(card(tmp_path, classes=classes))
    assert "\n" not in str(raised.value)


def test_the_shipped_class_splits_hold_a_third_out(mirror: Path) -> None:
    task = load_task("banking77", mirror)
    assert {part: len(labels) for part, labels in task.classes.items()} == {"train": 25, "validation": 25, "test": 27}
    assert sorted(label for labels in task.classes.values() for label in labels) == sorted(task.labels)
