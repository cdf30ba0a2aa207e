"""Imported tasks write what lm-evaluation-harness writes, byte for byte; what cannot be is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from icl.lmeval import import_task
from prompts import PromptBuilder, load_template
from tasks.errors import IclError
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


PLAIN = {
    "task": "mine",
    "dataset_path": "someone/mine",
    "training_split": "train",
    "test_split": "test",
    "output_type": "multiple_choice",
    "doc_to_text": "{{question}}",
    "doc_to_choice": "{{choices}}",
    "doc_to_target": "{{answer}}",
}


def complaint(directory: Path, text: str = "", **changes: Any) -> str:
    """What is said against a task with these keys, its file's name left out."""
    path = directory / "mine.yaml"
    lines = {**PLAIN, **changes}
    path.write_text("".join(f"{key}: {json.dumps(value)}\n" for key, value in lines.items() if value is not None) + text, encoding="utf-8")
    with pytest.raises(IclError) as caught:
        import_task(path, directory)
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(f"{directory}/", "")


@pytest.mark.parametrize(
    ("changes", "text", "message"),
    [
        ({"doc_to_text": None}, "doc_to_text: !function utils.text\n", "mine.yaml:8: doc_to_text: '!function utils.text' is Python"),
        ({}, "metric_list:\n  - metric: !function utils.f\n", "mine.yaml:10: metric_list.metric: '!function utils.f' is Python"),
        ({"output_type": "loglikelihood"}, "", "mine.yaml:5: output_type: 'loglikelihood' is not carried over"),
        ({"task": ["a", "b"]}, "", "mine.yaml:1: task: the file is a group"),
        ({"task": None}, "", "mine.yaml: the file names no task"),
        ({"dataset_path": None}, "", "the key 'dataset_path' is missing"),
        ({"use_prompt": "promptsource:x"}, "", "mine.yaml:9: use_prompt: prompts of promptsource are not read"),
        ({"doc_to_tekst": "x"}, "", "mine.yaml:9: the key 'doc_to_tekst' is not known (did you mean doc_to_text?)"),
        ({"num_fewshot": "two"}, "", "mine.yaml:9: num_fewshot: input should be a valid integer, but got 'two'"),
        ({"doc_to_text": "the same for all"}, "", "mine.yaml:6: doc_to_text: must read a column"),
        ({"doc_to_text": "{{ question | random }}"}, "", "mine.yaml:6: doc_to_text: the filter 'random' of Jinja is not part"),
        ({"doc_to_text": "{{ question.zfill(9) }}"}, "", "mine.yaml:6: doc_to_text: the method 'zfill' is not part"),
        ({"doc_to_text": "{{ question"}, "", "mine.yaml:6: doc_to_text: not a valid template"),
        ({"doc_to_text": "{{ answer }}"}, "", "task 'mine' cannot be said in a card: inputs must not show the answer"),
        ({"description": "About {{ subject }}:"}, "", "mine.yaml:9: description: must be the same for all rows"),
        ({"doc_to_choice": "{{ choices[:2] }}"}, "", "mine.yaml:7: doc_to_choice: must be a column with a list"),
        ({"doc_to_target": "{{ 0 if answer else 1 }}"}, "", "mine.yaml:8: doc_to_target: must be a column, a number"),
        ({"doc_to_choice": ["3", "4"]}, "", "mine.yaml:7: doc_to_choice: numbers as choices cannot be told from positions"),
        ({"doc_to_choice": ["yes", " no"]}, "", "labels must be one line without white space around it"),
        ({"doc_to_choice": ["yes", "no"], "doc_to_target": 1}, "", "doc_to_target: must differ between rows"),
        ({"fewshot_config": {"doc_to_choice": ["a", "b"]}}, "", "fewshot_config: doc_to_choice must be that of the queries"),
        ({"fewshot_config": {"samples": [{"question": "q"}]}}, "", "fewshot_config: samples are carried over with 'sampler: first_n' only"),
        ({"dataset_kwargs": {"data_dir": "x"}}, "", "dataset_kwargs: must be no more than a revision"),
        ({"dataset_path": "csv", "dataset_kwargs": {"data_files": "a.csv"}}, "", "dataset_path: numbers in CSV files are guessed there"),
        ({"dataset_path": "json", "dataset_kwargs": {"data_files": "/elsewhere/a.json"}}, "", "a card must lie beside its data: say --out /elsewhere"),
        ({}, "include: mine.yaml\n", "the file includes itself"),
        ({}, "include: nothing_yaml\n", "nothing_yaml: cannot be read"),
        ({}, "metadata: *x\n", "mine.yaml:9: YAML aliases (*x) are not read"),
        ({}, "  - broken\n", "mine.yaml:9: not valid YAML"),
    ],
)  # fmt: skip
def test_what_is_not_carried_over_is_one_line(tmp_path: Path, changes: dict[str, Any], text: str, message: str) -> None:
    assert message in complaint(tmp_path, text, **changes)


def test_sampling_is_refused_and_no_generation_without_it(tmp_path: Path) -> None:
    writes = {"output_type": "generate_until", "doc_to_choice": None}
    assert "answers are written without sampling here" in complaint(tmp_path, generation_kwargs={"do_sample": True}, **writes)
    assert "must be a column or LIST[column]" in complaint(tmp_path, **{**writes, "doc_to_target": "{{ answer.split('#')[1] }}"})


def test_data_files_become_files_beside_the_card(tmp_path: Path) -> None:
    rows = [{"question": f"q{i}", "choices": ["a", f"b{i}"], "answer": i % 2} for i in range(6)]
    for name, part in {"train": rows[:3], "test": rows[3:]}.items():
        (tmp_path / f"{name}.json").write_text("".join(json.dumps(row) + "\n" for row in part), encoding="utf-8")
    files = {name: str(tmp_path / f"{name}.json") for name in ("train", "test")}
    path = tmp_path / "own.yml"
    path.write_text(json.dumps({**PLAIN, "dataset_path": "json", "dataset_kwargs": {"data_files": files}}), encoding="utf-8")
    found = import_task(path, tmp_path)
    found.card.write_text(found.card_text, encoding="utf-8")
    assert load_task(found.card).splits["test"].targets == ["B", "A", "B"]


@pytest.mark.parametrize(
    ("target", "value", "right"),
    [
        ("answer", 1, "B"),
        ("answer", True, "B"),
        ("answer", "1", None),  # a text in the data, which is none of the choices: the harness would show it as it stands
        ("answer", "2", "A"),
        ("{{answer}}", "1", "B"),
        ("{{answer - 1}}", 2, "B"),
        ("{{answer|int - 1}}", "2", "B"),
        ("{{answer|int - 1}}", "two", None),
        ("{{answer.strip()}}", " 2 ", None),  # digits count: there is no third choice
        ("{{['x', 'y'].index(answer)}}", "y", "B"),
        ("{{'xy'.index(answer.strip())}}", " y", "B"),
        ("{{choices.index(answer)}}", "9", "B"),
    ],
)
def test_answers_are_read_as_the_harness_reads_them(tmp_path: Path, target: str, value: Any, right: str | None) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(json.dumps({**PLAIN, "doc_to_target": target}), encoding="utf-8")
    found = import_task(path, tmp_path)
    found.card.write_text(found.card_text, encoding="utf-8")
    mirror = tmp_path / "mirror" / "mine"
    mirror.mkdir(parents=True)
    for split in ("train", "test"):
        row = {"question": split, "choices": ["2", "9"], "answer": value}
        (mirror / f"{split}.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    if right is None:
        with pytest.raises(IclError, match="must be"):
            load_task(found.card, mirror.parent)
    else:
        assert load_task(found.card, mirror.parent).splits["test"].targets == [right]
