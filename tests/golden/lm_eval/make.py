"""Makes golden.json: the prompts that lm-evaluation-harness itself writes for documents that were made up.

Run it with the interpreter of an environment that has lm_eval 0.4.13 (`python -m benchmarks.environments lm-eval` prints one):

    PYTHON tests/golden/lm_eval/make.py

It copies the YAML files of the stock tasks below into `stock/` (MIT, see `stock/LICENSE`), reads the ones in `own/`, gives every task the
documents of documents.py, and keeps context and continuations of some queries after some demonstrations.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import datasets
from documents import TASKS
from lm_eval.api.task import ConfigurableTask
from lm_eval.tasks._yaml_loader import load_yaml

HERE = Path(__file__).resolve().parent


def main() -> None:
    spec = importlib.util.find_spec("lm_eval")
    assert spec is not None
    assert spec.submodule_search_locations
    package = Path(next(iter(spec.submodule_search_locations)))
    copy_stock(package / "tasks", [value["yaml"].removeprefix("stock/") for value in TASKS.values() if value["yaml"].startswith("stock/")])
    version = importlib.metadata.version("lm_eval")
    golden = {"lm_eval": version, "tasks": {name: {**value, "asked": prompts_of(name, value)} for name, value in TASKS.items()}}
    text = json.dumps(golden, ensure_ascii=False, indent=1) + "\n"
    (HERE / "golden.json").write_text(text, encoding="utf-8")
    print(f"{len(TASKS)} tasks")


def copy_stock(tasks: Path, names: list[str]) -> None:
    """The YAML files and what they include."""
    shutil.rmtree(HERE / "stock", ignore_errors=True)
    waiting = [tasks / name for name in names]
    while waiting:
        path = waiting.pop()
        target = HERE / "stock" / path.relative_to(tasks)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        included = load_yaml(path, resolve_func=False, recursive=False).get("include", [])
        waiting += [path.parent / name for name in ([included] if isinstance(included, str) else included)]
    (licence,) = (file for file in importlib.metadata.files("lm_eval") or [] if file.name.startswith("LICENSE"))
    head = "The YAML files in this directory are unchanged copies from lm-evaluation-harness (Python package lm_eval 0.4.13).\n\n"
    (HERE / "stock" / "LICENSE").write_text(head + licence.read_text(), encoding="utf-8")


def prompts_of(name: str, value: dict[str, Any]) -> list[dict[str, Any]]:
    task = task_with(load_yaml(HERE / value["yaml"]), value["splits"])
    assert task.config.task == name, (task.config.task, name)
    return [asked(task, value["splits"], query, shown) for query, shown in value["asked"]]


def task_with(config: dict[str, Any], splits: dict[str, list[dict[str, Any]]]) -> ConfigurableTask:
    """The task on these documents instead of those of the hub."""
    data = datasets.DatasetDict({name: datasets.Dataset.from_list(rows) for name, rows in splits.items()})
    original = datasets.load_dataset
    datasets.load_dataset = lambda *args, **named: data
    try:
        return ConfigurableTask(config={key: value for key, value in config.items() if key not in ("task_list",)})
    finally:
        datasets.load_dataset = original


def asked(task: ConfigurableTask, splits: dict[str, list[dict[str, Any]]], query: list[Any], shown: list[list[Any]]) -> dict[str, Any]:
    """One query after these demonstrations; rows are named by split and position. `own` demonstrations are the task's samples."""
    rows = {split: list(task.dataset[split]) for split in splits}
    document = rows[query[0]][query[1]]
    own = shown == "own"
    if not own:
        task.sampler.sample = lambda n, **named: [rows[split][at] for split, at in shown]
    number = task.config.num_fewshot if own else len(shown)
    context = task.fewshot_context(document, num_fewshot=number, gen_prefix=task.doc_to_prefix(document))
    made = task.construct_requests(doc=document, ctx=context, metadata=(task.config.task, 0, 1))
    requests = made if isinstance(made, list) else [made]
    assert {request.args[0] for request in requests} == {context}
    choices = [request.args[1] for request in requests] if isinstance(made, list) else None
    until = None if choices else requests[0].args[1]["until"]
    return {
        "query": query,
        "demonstrations": shown,
        "context": context,
        "continuations": choices,
        "until": [until] if isinstance(until, str) else until,
    }


if __name__ == "__main__":
    main()
