"""Where an imported task's rows come from: a repository of the hub, or files beside the card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from icl.lmeval.answers import shown
from icl.lmeval.harness import Read

LOADERS = {"json": "jsonl", "parquet": "parquet"}
"""Name of a loader of `datasets` → format of files here. Not csv: `datasets` guesses which of its columns are numbers."""
WITHOUT_MEANING = ("trust_remote_code",)


def source_of(read: Read, out: Path) -> dict[str, Any]:
    """The key `source` of a card that stands in the directory `out`. Raises IclError for data that a card cannot name."""
    task = read.task
    settings = {name: value for name, value in (task.dataset_kwargs or {}).items() if name not in WITHOUT_MEANING}
    if task.dataset_path in LOADERS:
        return _files(read, settings, out)
    if task.dataset_path == "csv":
        raise read.refuse("dataset_path", "numbers in CSV files are guessed there and texts here; convert the data to JSON lines")
    revision = settings.pop("revision", "main")
    if settings:
        raise read.refuse("dataset_kwargs", f"must be no more than a revision to be said in a card, but has {', '.join(settings)}")
    config = {} if task.dataset_name is None else {"config": str(task.dataset_name)}
    # The harness counts choices by class ids; the names that a repository gives its classes are not the harness's choices.
    return {"type": "hub", "repo": task.dataset_path, **config, "revision": revision, "class_ids": True}


def _files(read: Read, settings: dict[str, Any], out: Path) -> dict[str, Any]:
    """`data_files`: paths from the working directory, as `datasets` takes them."""
    named = settings.pop("data_files", None)
    files = {"train": named} if isinstance(named, str) else named
    plain = isinstance(files, dict) and all(isinstance(file, str) and "://" not in file for file in files.values())
    if settings or not files or not plain:
        raise read.refuse("dataset_kwargs", f"must be data_files (a file, or split: file), but is {shown(read.task.dataset_kwargs)}")
    paths = {}
    for split, file in files.items():
        try:
            paths[str(split)] = Path(file).resolve().relative_to(out.resolve()).as_posix()
        except ValueError:
            raise read.refuse("dataset_kwargs", f"a card must lie beside its data: say --out {Path(file).parent}") from None
    return {"type": "files", "paths": paths, "format": LOADERS[read.task.dataset_path]}
