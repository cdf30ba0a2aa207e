"""The card of an imported task, and the list of what the harness says and a card does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from icl.lmeval.answers import Answers
from icl.lmeval.fields import Field
from icl.lmeval.harness import Read
from tasks.card import METRICS

SAME = {"acc": "accuracy", "mcc": "mcc", "exact_match": "exact_match"}
"""Metric of the harness → the one here that counts the same."""
INSTEAD = {
    "acc_norm": "--normalise byte is near it: it divides by the bytes of the scored text, the delimiter's included",
    "acc_bytes": "--normalise byte is near it: it divides by the bytes of the scored text, the delimiter's included",
    "acc_mutual_info": "--calibration pmi is near it",
    "f1": "macro_f1 averages over all labels",
}
SHARE = 20
"""Percents of the rows, by hash, that become demonstrations where both sides come from one split."""
NEW_TOKENS = 256
"""The harness's longest answer where a task names none."""
LONGEST = ("max_gen_toks", "max_new_tokens", "max_tokens")
DROPPED_ROWS = "rows that loading leaves out (duplicates, texts in both splits: 'icl tasks show' counts them) are evaluated there"


def card_of(read: Read, answers: Answers, fields: list[Field], source: dict[str, Any], template: Path) -> tuple[str, list[str]]:
    """The card's text, and one line for everything that was left out or is done otherwise."""
    task = read.task
    left_out: list[str] = [*_demonstrations(read), DROPPED_ROWS]
    splits = _splits(read, left_out)
    json_fields = [field.name for field in fields if field.as_json]
    card: dict[str, Any] = {
        "name": task.task,
        "kind": answers.kind,
        "description": f"{task.task}, as lm-evaluation-harness asks it.",
        "source": source,
        "splits": splits,
        "inputs": {field.name: field.column for field in fields},
        **({"as_json": json_fields} if json_fields else {}),
        "white_space": "keep",
        **answers.keys,
        **(_generation(read, left_out) if answers.kind == "generation" else {}),
        **_metrics(read, answers.kind, left_out),
        "template": template.name,
        "notes": _notes(read, left_out),
    }
    return yaml.safe_dump(card, sort_keys=False, allow_unicode=True, width=140), left_out


def _splits(read: Read, left_out: list[str]) -> dict[str, Any]:
    task = read.task
    shown, asked = task.demonstration_split, task.evaluated_split
    if asked is None or shown is None:
        raise read.refuse("task", "the task must name a test_split or a validation_split")
    role = "test" if task.test_split else "validation"
    unused = {task.training_split, task.validation_split} - {shown, asked, None}
    if unused:
        left_out.append(f"splits that the harness does not evaluate: {', '.join(sorted(map(str, unused)))}")
    if shown != asked:
        return {"demonstration": shown, role: asked}
    left_out.append(f"demonstrations and queries both come from '{asked}' there; here {SHARE} percent of it, by hash, are demonstrations")
    return {"demonstration": {"from": shown, "part": f"0-{SHARE}"}, role: {"from": asked, "part": f"{SHARE}-100"}}


def _demonstrations(read: Read) -> list[str]:
    if read.task.fewshot.samples:
        return [f"its own demonstrations stand in the instruction ({read.task.num_fewshot or 0} of them): evaluate with --shots 0"]
    if read.task.fewshot.sampler == "first_n":
        return ["demonstrations are the first rows of their split there, and chosen by --selector here"]
    return []


def _generation(read: Read, left_out: list[str]) -> dict[str, Any]:
    task = read.task
    given = dict(task.generation_kwargs or {})
    if given.pop("do_sample", False) and given.get("temperature") != 0:
        raise read.refuse("generation_kwargs", "answers are written without sampling here, but do_sample is true")
    given.pop("temperature", None)
    until = given.pop("until", None)
    stop = [task.fewshot_delimiter] if until is None else [until] if isinstance(until, str) else until
    named = [given.pop(name) for name in LONGEST if name in given]
    if given:
        left_out.append(f"generation_kwargs: {', '.join(given)}")
    pattern = _pattern(read)
    if task.filter_list and not pattern:
        left_out.append("filter_list: the whole text that the model writes counts")
    elif pattern:
        left_out.append("filter_list: its first regular expression became answer_pattern (the last match counts)")
    return {
        **({"answer_pattern": pattern} if pattern else {"cut_answers": "keep"}),
        "max_new_tokens": named[0] if named else NEW_TOKENS,
        "stop": [text for text in stop if text],
    }


def _pattern(read: Read) -> str:
    """The first regular expression of the filters, where the metric says that the target, too, has something before the answer."""
    ignored = [str(text) for metric in read.task.metric_list or [] for text in metric.get("regexes_to_ignore") or []]
    if not any(text.startswith("(?s).*") for text in ignored):
        return ""
    steps = [step for entry in read.task.filter_list or [] for step in entry.get("filter") or []]
    found = [step for step in steps if step.get("function") == "regex" and not step.get("group_select")]
    return str(found[0].get("regex_pattern", "")) if found else ""


def _metrics(read: Read, kind: str, left_out: list[str]) -> dict[str, Any]:
    names = [str(metric.get("metric")) for metric in read.task.metric_list or []]
    kept = [SAME[name] for name in names if SAME.get(name) in METRICS[kind]]
    lost = [name for name in names if SAME.get(name) not in kept]
    left_out += [f"metric {name}{f' ({INSTEAD[name]})' if name in INSTEAD else ''}" for name in lost]
    settings = sorted({key for metric in read.task.metric_list or [] for key in metric} - {"metric", "aggregation", "higher_is_better"})
    if settings:
        left_out.append(f"settings of metrics: {', '.join(settings)}")
    if read.task.repeats > 1:
        left_out.append(f"repeats: {read.task.repeats}")
    return {"metrics": list(dict.fromkeys(kept))} if kept else {}


def _notes(read: Read, left_out: list[str]) -> str:
    version = read.task.metadata.get("version") if isinstance(read.task.metadata, dict) else None
    said = f"version {version}" if version is not None else "no version"
    return f"Imported from lm-evaluation-harness ({said}). Not carried over, or done otherwise: {'; '.join(left_out)}."
