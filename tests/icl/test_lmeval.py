"""Imported tasks write what lm-evaluation-harness writes, byte for byte; what cannot be is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from icl.lmeval import import_task
from prompts import PromptBuilder, load_template
from tasks.load import load_task
from tasks.types import Example, Task

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "lm_eval"
TASKS: dict[str, Any] = json.loads((GOLDEN / "golden.json").read_text(encoding="utf-8"))["tasks"]


def imported(name: str, directory: Path) -> Task:
    """The task of that name, written as files and loaded with the documents of the golden file as its mirror."""
    value = TASKS[name]
    found = import_task(GOLDEN / value["yaml"], directory)
    found.card.write_text(found.card_text, encoding="utf-8", newline="\n")
    found.template.write_text(found.template_text, encoding="utf-8", newline="\n")
    mirror = directory / "mirror" / name
    mirror.mkdir(parents=True)
    for split, rows in value["splits"].items():
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (mirror / f"{split}.jsonl").write_text(lines, encoding="utf-8")
    return load_task(found.card, mirror.parent)


@pytest.mark.parametrize("name", TASKS)
def test_prompts_are_those_of_the_harness(name: str, tmp_path: Path) -> None:
    task = imported(name, tmp_path)
    examples: dict[str, Example] = {e.id: e for split in task.splits.values() for e in split}
    builder = PromptBuilder(load_template(task.default_template), task)
    for asked in TASKS[name]["asked"]:
        shown = [] if asked["demonstrations"] == "own" else [examples[f"{split}:{at}"] for split, at in asked["demonstrations"]]
        query = examples["{}:{}".format(*asked["query"])].query()
        if asked["continuations"] is None:
            assert builder.open_prompt(shown, query).text == asked["context"]
            assert list(task.stop) == asked["until"]
            continue
        prompts = builder.prompts(shown, query, builder.verbalizer.candidates(query))
        assert [prompt.text[: prompt.span[0]] for prompt in prompts] == [asked["context"]] * len(prompts)
        assert [prompt.text[prompt.span[0] :] for prompt in prompts] == asked["continuations"]


def test_there_are_enough_stock_tasks() -> None:
    assert sum(value["yaml"].startswith("stock/") for value in TASKS.values()) >= 15
