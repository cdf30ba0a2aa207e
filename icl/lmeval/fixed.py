"""Demonstrations that a task of the harness writes out itself (`fewshot_config.samples`): they become part of the instruction."""

from __future__ import annotations

from typing import Any

from jinja2.exceptions import TemplateError

from icl.lmeval.harness import Read
from prompts.sandbox import Sandbox
from tasks.errors import IclError, shorten


def fixed_demonstrations(read: Read) -> str:
    """The first `num_fewshot` samples (none unless it says so) as the harness writes them, each with the delimiter after it."""
    task, samples = read.task, read.task.fewshot.samples
    if samples is None or task.fewshot.split or task.fewshot_split:
        return ""
    if task.fewshot.sampler != "first_n":
        raise read.refuse("fewshot_config", "samples are carried over with 'sampler: first_n' only; others are drawn")
    count = task.num_fewshot or 0
    if count > len(samples):
        raise read.refuse("num_fewshot", f"asks for {count} demonstrations, but fewshot_config has {len(samples)} samples")
    return "".join(_demonstration(read, sample) for sample in samples[:count])


def _demonstration(read: Read, sample: dict[str, Any]) -> str:
    task, fewshot = read.task, read.task.fewshot
    prefix = task.target_delimiter if fewshot.target_delimiter is None else fewshot.target_delimiter
    between = task.fewshot_delimiter if fewshot.fewshot_delimiter is None else fewshot.fewshot_delimiter
    question = _written(read, "doc_to_text", fewshot.doc_to_text or task.doc_to_text, sample)
    answer = _written(read, "doc_to_target", str(task.doc_to_target), sample)
    if task.choices is not None or not answer or (answer[0] == "[" and answer[-1] == "]"):
        raise read.refuse("fewshot_config", "samples are carried over where doc_to_target is the text of an answer")
    return question + prefix + answer + between


def _written(read: Read, key: str, wording: str, sample: dict[str, Any]) -> str:
    """What a wording says of a sample; a bare word is the sample's value of that name."""
    if isinstance(sample.get(wording), str):
        return str(sample[wording])
    try:
        return str(Sandbox({}).from_string(wording).render(sample))
    except (TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise IclError(f"{read.places['fewshot_config']}: fewshot_config: {key} of a sample: {shorten(str(error), 200)}") from None
