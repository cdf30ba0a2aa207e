"""Runs from episode files that nobody drew with `--episodes`: pools from several splits, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from icl import RunSpec, evaluate
from tasks import DataError
from tasks.load import load_task

CARD = """\
name: two-pools
kind: classification
description: Short reviews.
source: {type: files, path: reviews.csv}
splits:
  demonstration: {from: all, part: 0-40}
  validation: {from: all, part: 40-70}
  test: {from: all, part: 70-100}
inputs: {text: review}
target: label
labels: {negative: negative, positive: positive}
template: sentiment-plain
"""


@pytest.fixture
def card(tmp_path: Path) -> Path:
    rows = [f"a film of the kind {i},{('negative', 'positive')[i % 2]}" for i in range(120)]
    (tmp_path / "reviews.csv").write_text("review,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    path = tmp_path / "card.yaml"
    path.write_text(CARD, encoding="utf-8")
    return path


def episodes_file(path: Path, splits: Sequence[tuple[str, str]], queries: dict[str, list[str]]) -> Path:
    lines = [
        {
            "id": f"e{i:03d}",
            "task": "two-pools",
            "labels": ["negative", "positive"],
            "support_split": support,
            "support": None,
            "query_split": query,
            "query": queries[query],
        }
        for i, (support, query) in enumerate(splits)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


@pytest.mark.parametrize("selector", ["random", "balanced", "bm25"])
def test_each_pool_has_its_own_demonstrations(card: Path, tmp_path: Path, tiny_model_dir: Path, selector: str) -> None:
    task = load_task(card)
    queries = {"test": task.splits["test"].ids[:4]}
    file = episodes_file(
        tmp_path / "episodes.jsonl", [("demonstration", "test"), ("validation", "test"), ("demonstration", "test")], queries
    )
    spec = RunSpec(str(card), model=str(tiny_model_dir), selector=selector, shots=3, device="cpu", dtype="float32", calibration=("none",))
    run = evaluate(spec, out=tmp_path / "runs", episodes=file)
    for row in run.table("prompts"):
        pool = "validation" if row["episode"] == "e001" else "demonstration"
        assert set(row["demonstrations"]) <= set(task.splits[pool].ids)
        shown = [task.splits[pool].by_id(id).inputs["text"] for id in row["demonstrations"]]
        assert all(text in row["context"] for text in shown)


def test_rows_that_another_episode_asks_are_never_shown(card: Path, tmp_path: Path, tiny_model_dir: Path) -> None:
    task = load_task(card)
    queries = {role: task.splits[role].ids[:4] for role in ("test", "validation")}
    file = episodes_file(tmp_path / "episodes.jsonl", [("validation", "test"), ("demonstration", "validation")], queries)
    spec = RunSpec(str(card), model=str(tiny_model_dir), shots=3, device="cpu", dtype="float32")
    with pytest.raises(DataError, match="'validation' is the support_split of line 1 and the query_split of line 2"):
        evaluate(spec, out=tmp_path / "runs", episodes=file)
    assert not (tmp_path / "runs").exists()


def test_labels_without_rows_are_said_before_a_run(card: Path, tmp_path: Path, tiny_model_dir: Path) -> None:
    from icl.events import Quiet

    class Listening(Quiet):
        def __init__(self) -> None:
            self.notes: list[str] = []

        def note(self, text: str) -> None:
            self.notes.append(text)

    card.write_text(CARD.replace("positive: positive}", "positive: positive, mixed: mixed}"), encoding="utf-8")
    said = Listening()
    spec = RunSpec(
        str(card), model=str(tiny_model_dir), shots=2, queries=4, episodes=1, device="cpu", dtype="float32", calibration=("none",)
    )
    run = evaluate(spec, out=tmp_path / "runs", events=said)
    assert "task 'two-pools': no row has label 'mixed', which every query still has as a candidate" in said.notes
    assert run.environment["data"]["remarks"] == ["no row has label 'mixed', which every query still has as a candidate"]
