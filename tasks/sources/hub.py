"""A data set of the Hugging Face hub: from a mirror directory where it stands there, else through `datasets`.

Code of a repository is never run (`datasets` 5 cannot, and `trust_remote_code` is never passed): a repository that is a script is read
from its Parquet copy, the revision `refs/convert/parquet`, whose files are `CONFIG/SPLIT/*.parquet`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tasks.card import TaskCard
from tasks.cardsource import HubSource
from tasks.errors import DataError, FetchError
from tasks.sources import hubcache
from tasks.sources.files import read_file
from tasks.sources.reach import hub_or_cache
from tasks.sources.types import Place, Raw, Rows

CONVERTED = "refs/convert/parquet"


class Hub:
    """Source `hub`."""

    def read(self, card: TaskCard, place: Place) -> Raw:
        source = card.source
        assert isinstance(source, HubSource)
        name = source.mirror or card.name
        if place.data_dir is not None and (place.data_dir / name).is_dir():
            return _mirror(card, place.data_dir / name)
        return _hub(card, source)


def _mirror(card: TaskCard, directory: Path) -> Raw:
    splits: dict[str, Rows] = {}
    for name in card.split_names("mirror"):
        path = directory / f"{name}.jsonl"
        if not path.is_file():
            found = ", ".join(sorted(other.name for other in directory.glob("*.jsonl"))) or "none"
            raise DataError(f"task '{card.name}' needs {name}.jsonl in the mirror {directory}, but the files there are: {found}")
        splits[name] = read_file(path, f"{directory.name}/{path.name}")
    return Raw(splits, f"mirror {directory.name} of {_address(card)}", "mirror")


def _hub(card: TaskCard, source: HubSource) -> Raw:
    """All splits that the card uses, through `datasets` and its own cache (HF_HUB_OFFLINE and HF_HOME are respected there)."""
    if Path(source.repo).exists():  # `datasets` would read it instead of the hub, without a word
        raise DataError(f"task '{card.name}' needs the hub's {source.repo}, but ./{source.repo} stands in its way; run icl elsewhere")
    wanted = card.split_names("hub")
    with hub_or_cache() as away:
        try:
            splits = _converted(source, wanted, bool(away)) if source.revision == CONVERTED else _own(source, wanted, bool(away))
        except Exception as error:  # the library's errors have no common root; none of them is hidden
            raise _explained(card, source, error, away) from error
    origin = f"hub {_address(card)}{', from the cache of this machine' if away else ''}"
    return Raw({name: _NamedRows(f"{source.repo}, split '{name}'", data, source.class_ids) for name, data in splits.items()}, origin, "hub")


def _own(source: HubSource, wanted: list[str], away: bool) -> dict[str, Any]:
    """As the repository describes itself."""
    from datasets import load_dataset

    splits = {name: load_dataset(source.repo, source.config, split=name, revision=source.revision) for name in wanted}
    for data in splits.values():
        hubcache.check_commit(source, data, away)
    return splits


def _converted(source: HubSource, wanted: list[str], away: bool) -> dict[str, Any]:
    """The hub's own Parquet copy of a repository."""
    from datasets import load_dataset

    if away:
        return hubcache.converted(source, wanted)
    files = {name: f"{source.config or 'default'}/{name}/*.parquet" for name in wanted}
    loaded = load_dataset(source.repo, data_files=files, revision=source.revision)
    for name in wanted:
        hubcache.check_commit(source, loaded[name], away)
    return {name: loaded[name] for name in wanted}


class _NamedRows:
    """Rows of a `datasets.Dataset` in which class ids are replaced by the names that the repository itself gives them, unless kept."""

    advice = ""

    def __init__(self, name: str, data: Any, class_ids: bool) -> None:
        self.name = name
        self.data = data
        self.names: Mapping[str, list[str]] = {
            column: list(feature.names) for column, feature in data.features.items() if hasattr(feature, "names") and not class_ids
        }

    def __len__(self) -> int:
        return len(self.data)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for row in self.data:
            yield {column: self._name(column, value) for column, value in row.items()}

    def place(self, index: int) -> str:
        return f"{self.name}, row {index + 1}"

    def _name(self, column: str, value: Any) -> Any:
        names = self.names.get(column)
        return names[value] if names is not None and isinstance(value, int) and 0 <= value < len(names) else value


def _address(card: TaskCard) -> str:
    source = card.source
    assert isinstance(source, HubSource)
    return f"{source.repo}{f' ({source.config})' if source.config else ''} at {source.revision}"


def _explained(card: TaskCard, source: HubSource, error: Exception, away: str) -> FetchError:
    where = f"task '{card.name}' could not be read from the hub ({_address(card)})"
    advice = f"go online, or set --data-dir (ICL_DATA_DIR) to a directory that holds {source.mirror or card.name}/*.jsonl"
    text = str(error) if isinstance(error, FetchError) else f"{type(error).__name__}: {error}"
    cause = next((line.strip() for line in text.splitlines() if line.strip()), text)
    if away and isinstance(error, ConnectionError):
        cause = "the cache of this machine does not have the data"
    return FetchError(f"{where}: {f'{away}; ' if away else ''}{advice}; the cause: {cause[:300]}")
