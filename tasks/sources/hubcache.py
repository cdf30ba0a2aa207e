"""What the caches of the hub's libraries hold of a data set, for a machine without the hub.

The libraries' own offline loading takes the newest prepared copy, whatever its revision, and cannot find what was read from a Parquet
revision. Here the commit that the revision last stood for decides, and a copy that is not whole is refused.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tasks.cardsource import HubSource
from tasks.errors import FetchError

COMMIT = re.compile(r"[0-9a-f]{40}")


def commit_of(data: Any) -> str:
    """The commit that a loaded data set was prepared from, or empty: the name of its directory in the cache."""
    names = {Path(file["filename"]).parent.name for file in data.cache_files}
    name = names.pop() if len(names) == 1 else ""
    return name if COMMIT.fullmatch(name) else ""


def known_commit(source: HubSource) -> str:
    """The commit that the card's revision stood for when the hub was last asked, or empty."""
    if COMMIT.fullmatch(source.revision):
        return source.revision
    note = _directory(source) / "refs" / source.revision
    return note.read_text(encoding="ascii").strip() if note.is_file() else ""


def check_commit(source: HubSource, data: Any, away: bool) -> None:
    """Raises FetchError when what was loaded is of another revision than the card's.

    The library takes the newest prepared copy whenever something goes wrong, not only offline. What cannot be known is refused only
    where the cache answered for the hub.
    """
    wanted, found = known_commit(source), commit_of(data)
    wrong = wanted != found if wanted and found else away and source.revision != "main"
    if wrong:
        raise FetchError(f"the cache of this machine has commit {found[:12] or 'unknown'}, not {wanted[:12] or source.revision}")


def converted(source: HubSource, wanted: list[str]) -> dict[str, Any]:
    """The splits from the Parquet files in the hub's cache. Raises FetchError when they are not there, or not all of them."""
    from datasets import load_dataset

    commit = known_commit(source)
    folder = _directory(source) / "snapshots" / commit / (source.config or "default")
    files = {name: sorted(map(str, (folder / name).glob("*.parquet"))) for name in wanted}
    missing = [name for name, found in files.items() if not commit or not found or _rows(found) not in _prepared(source, commit, name)]
    if missing:
        raise FetchError(f"the cache of this machine does not have all of {', '.join(missing)}")
    return {name: load_dataset("parquet", data_files={name: found}, split=name) for name, found in files.items()}


def _directory(source: HubSource) -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE) / f"datasets--{source.repo.replace('/', '--')}"


def _rows(files: list[str]) -> int:
    import pyarrow.parquet as pq

    return sum(pq.read_metadata(file).num_rows for file in files)


def _prepared(source: HubSource, commit: str, split: str) -> set[int]:
    """Sizes of a split in the copies that `datasets` prepared from that commit, each of them whole: what a whole download must have."""
    import datasets.config

    found: set[int] = set()
    for path in Path(datasets.config.HF_DATASETS_CACHE).glob(f"{source.repo.split('/')[0]}___*/*/*/{commit}/dataset_info.json"):
        splits = json.loads(path.read_text(encoding="utf-8")).get("splits") or {}
        if split in splits:
            found.add(int(splits[split]["num_examples"]))
    return found
