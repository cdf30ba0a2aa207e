"""What a task of the harness says, checked: the border where its YAML becomes typed values, and where what is not carried is refused."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from icl.lmeval.yamlfile import Entry, functions
from tasks.errors import IclError, shorten

OUTPUT_TYPES = ("multiple_choice", "generate_until")
NOT_CARRIED = {
    "class": "the task is a Python class",
    "group": "the file is a group; import its tasks by their names",
    "task_list": "the file holds several tasks; write a file for each",
    "use_prompt": "prompts of promptsource are not read; write doc_to_text",
    "process_docs": "rows are not changed by Python",
    "process_results": "results are not worked on by Python",
    "custom_dataset": "data is not made by Python",
    "doc_to_image": "prompts are text only",
    "doc_to_audio": "prompts are text only",
    "unsafe_code": "nothing that a model writes is run",
    "gen_prefix": "a beginning of the answer is not carried over",
}
"""Key → why a task that sets it is refused."""


class Given(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Fewshot(Given):
    """`fewshot_config`: what demonstrations do otherwise than queries."""

    sampler: str = "default"
    split: str | None = None
    samples: list[dict[str, Any]] | None = None
    fewshot_indices: list[int] | None = None
    doc_to_text: str | None = None
    doc_to_target: str | int | None = None
    doc_to_choice: str | list[str] | None = None
    fewshot_delimiter: str | None = None
    target_delimiter: str | None = None
    process_docs: None = None
    gen_prefix: None = None


class HarnessTask(Given):
    """The declarative part of a task, with the harness's defaults."""

    task: str
    dataset_path: str
    dataset_name: str | int | None = None
    dataset_kwargs: dict[str, Any] | None = None
    training_split: str | None = None
    validation_split: str | None = None
    test_split: str | None = None
    fewshot_split: str | None = None
    doc_to_text: str
    doc_to_target: str | int
    doc_to_choice: str | list[str] | dict[str, str] | None = None
    description: str = ""
    target_delimiter: str = " "
    fewshot_delimiter: str = "\n\n"
    fewshot_config: Fewshot | None = None
    num_fewshot: int | None = None
    output_type: Literal["multiple_choice", "generate_until"] = "generate_until"
    generation_kwargs: dict[str, Any] | None = None
    metric_list: list[dict[str, Any]] | None = None
    filter_list: list[dict[str, Any]] | None = None
    repeats: int = 1
    metadata: Any = None
    tag: Any = None
    task_alias: Any = None
    should_decontaminate: Any = None
    doc_to_decontamination_query: Any = None

    @property
    def fewshot(self) -> Fewshot:
        return self.fewshot_config or Fewshot()

    @property
    def choices(self) -> str | list[str] | None:
        return list(self.doc_to_choice.values()) if isinstance(self.doc_to_choice, dict) else self.doc_to_choice

    @property
    def evaluated_split(self) -> str | None:
        return self.test_split or self.validation_split

    @property
    def demonstration_split(self) -> str | None:
        """Where demonstrations come from, by the harness's rule."""
        return self.fewshot.split or self.fewshot_split or self.training_split or self.validation_split or self.test_split


@dataclass(frozen=True)
class Read:
    """A task, and where its keys stand, for messages."""

    task: HarnessTask
    places: Mapping[str, str]
    """Key → `FILE:LINE`."""

    def refuse(self, key: str, why: str) -> IclError:
        """The error that says why this task is not imported."""
        return IclError(f"{self.places.get(key, self.places['task'])}: {key}: {why}")


def read_task(entries: Mapping[str, Entry], where: str) -> Read:
    """The checked task. Raises IclError, with the file and line of the key, for Python and for what this program cannot do."""
    for key, entry in entries.items():
        for path, function in functions(key, entry.value):
            raise IclError(
                f"{function.where}: {path}: '!function {shorten(function.name)}' is Python, which is never run here; "
                "write the key as a template, or the task as a card of its own (docs/tasks.md)"
            )
        if key in NOT_CARRIED and entry.value not in (None, False, ""):
            raise IclError(f"{entry.where}: {key}: {NOT_CARRIED[key]}")
    _check_kind(entries, where)
    kept = {key: entry for key, entry in entries.items() if key not in NOT_CARRIED}
    try:
        task = HarnessTask.model_validate({key: entry.value for key, entry in kept.items()})
    except ValidationError as error:
        raise IclError(_complaint(error, kept, where)) from None
    return Read(task, {"task": where, **{key: entry.where for key, entry in kept.items()}})


def _check_kind(entries: Mapping[str, Entry], where: str) -> None:
    if "task" not in entries:
        raise IclError(f"{where}: the file names no task (is it a base that others include?)")
    if not isinstance(entries["task"].value, str):
        raise IclError(f"{entries['task'].where}: task: the file is a group; import its tasks by their names")
    kind = entries.get("output_type")
    if kind is not None and kind.value not in OUTPUT_TYPES:
        raise IclError(f"{kind.where}: output_type: {shorten(repr(kind.value))} is not carried over, only {' and '.join(OUTPUT_TYPES)} are")


def _complaint(error: ValidationError, entries: Mapping[str, Entry], where: str) -> str:
    first = error.errors(include_url=False)[0]
    key = str(first["loc"][0])
    path = ".".join(str(part) for part in first["loc"] if isinstance(part, int) or part in (key, *Fewshot.model_fields))
    place = entries[key].where if key in entries else where
    if first["type"] == "missing":
        return f"{place}: the key '{key}' is missing"
    if first["type"] == "extra_forbidden":
        name = str(first["loc"][-1])
        known = Fewshot.model_fields if len(first["loc"]) > 1 else HarnessTask.model_fields
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
        return f"{place}: the key '{shorten(name)}' is not known{f' (did you mean {near[0]}?)' if near else ''}"
    return f"{place}: {path}: {first['msg'].lower()}, but got {shorten(repr(first['input']))}"
