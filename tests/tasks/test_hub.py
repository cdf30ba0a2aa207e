"""Hub cards: against the mirror where there is one, and against a hub of the test's own making."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from taskfiles import jsonl, reviews, write_card

from tasks.cardfile import load_card
from tasks.errors import DataError, FetchError, IclError
from tasks.load import LIBRARY, library_names, load_task
from tasks.normalise import example_key

HUB_CARDS = [name for name in library_names() if load_card(LIBRARY / f"{name}.yaml").source.type == "hub"]


@pytest.mark.parametrize("name", HUB_CARDS)
def test_every_hub_card_on_the_mirror(mirror: Path, name: str) -> None:
    if not (mirror / name).is_dir():
        pytest.skip(f"the mirror has no {name}")
    task = load_task(name, mirror)
    described = json.loads((mirror / name / "dataset.json").read_text(encoding="utf-8"))
    if task.kind == "classification":
        assert set(task.labels) == set(described["labels"])
        for split in task.splits.values():
            assert set(split.targets) <= set(task.labels)
        assert set(task.splits["demonstration"].targets) == set(task.labels)
    keys: dict[str, set[str]] = {role: {example_key(e, task.kind) for e in split} for role, split in task.splits.items()}
    assert not keys["demonstration"] & keys[task.evaluated_split()]
    assert all(len(keys[role]) == len(split) for role, split in task.splits.items())
    # Every row of the files that the card uses is in a role or counted as left out.
    card = load_card(LIBRARY / f"{name}.yaml")
    rows = sum(described["splits"][split]["rows"] for split in card.split_names("mirror"))
    assert sum(map(len, task.splits.values())) + sum(task.dropped.values()) == rows
    assert task.source.startswith("mirror ")
    for e in task.splits["demonstration"][:50]:
        assert all(value.strip() for value in e.inputs.values())


def test_gsm8k_answers(mirror: Path) -> None:
    task = load_task("gsm8k", mirror)
    for e in task.splits["test"]:
        assert float(e.answers[0]) == float(e.target.rsplit("####", 1)[1].replace(",", ""))


def hub_card(directory: Path, **changes: Any) -> Path:
    source = {"type": "hub", "repo": "someone/toy", **changes.pop("source", {})}
    splits = {
        "demonstration": {"mirror": "train", "hub": {"from": "train", "part": "0-60"}},
        "test": {"mirror": "test", "hub": {"from": "train", "part": "60-100"}},
    }
    return write_card(directory, [], **{"source": source, "splits": splits, "label_aliases": {"neg": "bad", "pos": "good"}, **changes})


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """`datasets.load_dataset` replaced by one that keeps its calls and gives 50 rows with class ids."""
    import datasets

    calls: list[dict[str, Any]] = []
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])})

    def load_dataset(*args: Any, **kwargs: Any) -> Any:
        calls.append({"args": args, **kwargs})
        data = datasets.Dataset.from_dict(
            {"text": [f"text {i}" for i in range(50)], "label": [i % 2 for i in range(50)]}, features=features
        )
        return data if "split" in kwargs else dict.fromkeys(kwargs["data_files"], data)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("tasks.sources.reach.answers", lambda: True)
    monkeypatch.delenv("ICL_DATA_DIR", raising=False)
    return calls


def test_hub_class_ids_are_read_by_the_names_of_the_hub(tmp_path: Path, hub: list[dict[str, Any]]) -> None:
    # The card lists the labels in another order than the hub: names decide, not positions.
    task = load_task(hub_card(tmp_path, labels={"good": "good", "bad": "bad"}))
    assert {e.inputs["text"]: e.target for e in task.splits["demonstration"][:4]}.items() <= {
        f"text {i}": ("bad", "good")[i % 2] for i in range(50)
    }.items()
    assert sum(map(len, task.splits.values())) == 50
    assert hub == [{"args": ("someone/toy", None), "split": "train", "revision": "main"}]
    assert task.source == "hub someone/toy at main"


def test_class_ids_are_positions_of_labels_where_the_card_keeps_them(tmp_path: Path, hub: list[dict[str, Any]]) -> None:
    labels = {"good": "good", "bad": "bad"}  # in another order than the hub's names
    task = load_task(hub_card(tmp_path, source={"class_ids": True}, labels=labels, label_aliases=None))
    for e in task.splits["demonstration"]:
        assert e.target == ("good", "bad")[int(e.inputs["text"].split()[1]) % 2]


def test_scripts_are_read_from_their_parquet_copy(tmp_path: Path, hub: list[dict[str, Any]]) -> None:
    load_task(hub_card(tmp_path, source={"config": "plain", "revision": "refs/convert/parquet"}))
    assert hub == [{"args": ("someone/toy",), "data_files": {"train": "plain/train/*.parquet"}, "revision": "refs/convert/parquet"}]


def test_remote_code_is_never_trusted() -> None:
    for path in (LIBRARY.parent).rglob("*.py"):
        assert "trust_remote_code=" not in path.read_text(encoding="utf-8")


def test_the_mirror_comes_first(tmp_path: Path, hub: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = tmp_path / "mirror"
    (mirror / "toy").mkdir(parents=True)
    jsonl(mirror / "toy" / "train.jsonl", [{"text": "a", "label": "neg"}])
    jsonl(mirror / "toy" / "test.jsonl", [{"text": "b", "label": 1}])
    for task in (load_task(hub_card(tmp_path), mirror), _with_environment(hub_card(tmp_path), mirror, monkeypatch)):
        assert task.splits["demonstration"].targets == ["bad"]
        assert task.splits["test"].targets == ["good"]
    assert not hub
    (mirror / "toy" / "test.jsonl").unlink()
    with pytest.raises(DataError, match=r"needs test\.jsonl in the mirror .* the files there are: train\.jsonl"):
        load_task(hub_card(tmp_path), mirror)


def _with_environment(card: Path, mirror: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("ICL_DATA_DIR", str(mirror))
    return load_task(card)


def test_a_mirror_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(IclError, match="--data-dir must be a directory"):
        load_task(hub_card(tmp_path), tmp_path / "none")


def test_no_network_is_one_line(tmp_path: Path, hub: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def offline(*args: Any, **kwargs: Any) -> Any:
        raise ConnectionError("Couldn't reach 'someone/toy' on the Hub\n(OfflineModeIsEnabled)")

    monkeypatch.setattr(datasets, "load_dataset", offline)
    with pytest.raises(FetchError, match=r"go online, or set --data-dir \(ICL_DATA_DIR\).*Couldn't reach") as caught:
        load_task(hub_card(tmp_path))
    assert "\n" not in str(caught.value)


def test_unlabelled_hub_rows_are_an_error(tmp_path: Path) -> None:
    rows = {"train": reviews(4), "test": [{"id": "t", "text": "hidden", "label": -1}]}
    path = write_card(tmp_path, rows, splits={"demonstration": "train", "test": "test"})
    with pytest.raises(DataError, match="row t: a label must be one that the card lists, but got -1"):
        load_task(path)
