"""Label ablations: what demonstrations show as their answers is changed, to see how much of a result comes from right answers.

- `random`: every demonstration shows a label drawn uniformly from the labels in play, the true one included (Min et al. 2022).
- `flipped`: one permutation without a fixed point per episode, so every shown label is wrong, and wrong in the same way (Wei et al. 2023).
- `empty`: labels are written as A, B, C, … (numbers where there are more than 26), in demonstrations and candidates alike: words that say
  nothing about the task, so that only the demonstrations can (semantically unrelated labels, Wei et al. 2023).
- `auto`: as words that the model finds itself (icl/labelwords.py), in demonstrations and candidates alike.

Which demonstrations are shown, in which order, is decided by their true labels and stays as it is; a query's target is never changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from prompts import Template
from tasks import Example, IclError, Task, keyed_rng
from tasks.types import LETTERS

Relabel = Callable[[str, Sequence[str], int, str, str], str]
"""True label, labels that could be shown, seed, episode, example → the label that is shown."""


def _random(target: str, labels: Sequence[str], seed: int, episode: str, example: str) -> str:
    return labels[int(keyed_rng(seed, "labels", episode, example).integers(len(labels)))]


def _flipped(target: str, labels: Sequence[str], seed: int, episode: str, example: str) -> str:
    shift = 1 + int(keyed_rng(seed, "labels", episode).integers(len(labels) - 1))
    return labels[(labels.index(target) + shift) % len(labels)]


def _true(target: str, labels: Sequence[str], seed: int, episode: str, example: str) -> str:
    return target


LABELS: dict[str, Relabel] = {"true": _true, "random": _random, "flipped": _flipped, "empty": _true, "auto": _true}
"""Name → what a demonstration shows; `empty` and `auto` change how labels are written instead."""


def check_labels(ablation: str, task: Task) -> None:
    """Raises IclError for an ablation that does not serve this task."""
    if ablation == "true" or (task.kind == "classification" and len(task.labels) > 1):
        return
    if ablation in ("empty", "auto") or task.kind != "multiple_choice":
        needs = "two or more labels" if ablation in ("empty", "auto") else "two or more labels or choices"
        raise IclError(f"--labels {ablation} needs a task with {needs}, but '{task.name}' ({task.kind}) has none; use --labels true")


def shown_as(example: Example, ablation: str, labels: Sequence[str], seed: int, episode: str) -> Example:
    """The demonstration with the answer that it will show. `labels` are those in play; a multiple-choice example has its letters."""
    if ablation in ("true", "empty", "auto"):
        return example
    could = list(labels) or list(LETTERS[: len(example.choices)])
    if len(could) < 2:
        raise IclError(f"--labels {ablation} needs two or more labels to choose from, but demonstration '{example.id}' has {len(could)}")
    return replace(example, target=LABELS[ablation](example.target, could, seed, episode, example.id))


def written_as(ablation: str, template: Template, task: Task, found: Mapping[str, str] | None = None) -> tuple[Template, Task]:
    """Template and task with other label words: for `empty`, letters in the order of the labels; for `auto`, those that were `found`."""
    if ablation == "auto" and found:
        words = {label: found[label] for label in task.labels}
    elif ablation == "empty":
        count = len(task.labels)
        symbols = list(LETTERS[:count]) if count <= len(LETTERS) else [str(i + 1) for i in range(count)]
        words = dict(zip(task.labels, symbols, strict=True))
    else:
        return template, task
    return replace(template, label_words={}, synonyms={}), replace(task, label_words=words)
