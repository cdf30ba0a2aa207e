"""The hub's own libraries against a stand-in of the hub: loading, loading again without it, and how soon it is said that it is away."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakehub import commit, serving
from taskfiles import write_card

ROWS = [{"text": f"text {i}", "label": i % 2} for i in range(50)]
CODE = """
import json, sys
from icl.cli.main import main
sys.exit(main(["tasks", "show", sys.argv[1], "--json"]))
"""


def parquet(rows: list[dict[str, Any]]) -> bytes:
    """As the hub's converter writes it: class names stand in the file."""
    import datasets

    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])})
    buffer = io.BytesIO()
    datasets.Dataset.from_list(rows, features=features).to_parquet(buffer)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    main = {"README.md": b"---\nlicense: mit\n---\n", "train.jsonl": "".join(json.dumps(row) + "\n" for row in ROWS).encode()}
    copy = {"plain/train/0000.parquet": parquet(ROWS[:30]), "plain/train/0001.parquet": parquet(ROWS[30:])}
    with serving({"someone/toy": {"main": main, "refs/convert/parquet": copy}}) as url:
        yield url


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, address: str) -> Path:
    """A cache into which both revisions were loaded once."""
    directory = tmp_path_factory.mktemp("hub")
    for kind in ("own", "converted"):
        done = show(card(directory, kind), directory, address)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["source"].endswith(("at main", "at refs/convert/parquet"))
    return directory


def card(directory: Path, kind: str, **source: Any) -> Path:
    given: dict[str, Any] = {"type": "hub", "repo": "someone/toy", **source}
    if kind == "converted":
        given |= {"config": "plain", "revision": "refs/convert/parquet"}
    splits = {"demonstration": {"from": "train", "part": "0-60"}, "test": {"from": "train", "part": "60-100"}}
    folder = directory / kind
    folder.mkdir(exist_ok=True)
    aliases = {"neg": "bad", "pos": "good"} if kind == "converted" else None
    return write_card(folder, [], source=given, splits=splits, label_aliases=aliases)


def show(path: Path, home: Path, address: str, **more: str) -> subprocess.CompletedProcess[str]:
    """`icl tasks show` in a process of its own: the libraries read their settings when they are imported."""
    environment = process_environment(home, address, **more)
    command = [sys.executable, "-c", CODE, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=120)


def process_environment(home: Path, address: str, **more: str) -> dict[str, str]:
    """Settings of a process whose hub has this address and whose cache lies in `home`."""
    dropped = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "ICL_DATA_DIR", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    root = Path(__file__).resolve().parents[2]
    return {**kept, "HF_ENDPOINT": address, "HF_HOME": str(home / "hf"), "PYTHONPATH": str(root), **more}


CLOSED = "http://127.0.0.1:9"


@pytest.mark.parametrize("kind", ["own", "converted"])
@pytest.mark.parametrize(("away", "more"), [("the hub is away", {}), ("HF_HUB_OFFLINE", {"HF_HUB_OFFLINE": "1"})])
def test_what_was_loaded_once_needs_no_hub(home: Path, address: str, kind: str, away: str, more: dict[str, str]) -> None:
    online = json.loads(show(card(home, kind), home, address).stdout)
    done = show(card(home, kind), home, CLOSED, **more)
    assert done.returncode == 0, done.stderr
    offline = json.loads(done.stdout)
    assert not [line for line in done.stderr.splitlines() if line and "Generating train split" not in line]  # a progress bar at most
    assert offline.pop("source") == online.pop("source") + ", from the cache of this machine"
    assert offline == online
    assert sum(offline["splits"].values()) == 50


@pytest.mark.parametrize("kind", ["own", "converted"])
def test_a_hub_that_is_away_is_one_line_at_once(tmp_path: Path, kind: str) -> None:
    start = time.monotonic()
    done = show(card(tmp_path, kind), tmp_path, CLOSED)
    assert time.monotonic() - start < 15  # left alone the library tries for 24 seconds, with the import on top
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert f"{CLOSED} does not answer; go online, or set --data-dir" in line
    assert line.startswith("icl: task 'toy' could not be read from the hub (someone/toy")


def test_a_hub_that_keeps_silent_is_not_waited_for(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        silent = f"http://127.0.0.1:{server.getsockname()[1]}"
        done = show(card(tmp_path, "own"), tmp_path, silent, HF_HUB_ETAG_TIMEOUT="1")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "does not answer" in done.stderr


def test_offline_says_why(tmp_path: Path) -> None:
    done = show(card(tmp_path, "own"), tmp_path, CLOSED, HF_HUB_OFFLINE="1")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "HF_HUB_OFFLINE is set" in done.stderr


def test_a_cache_of_another_revision_is_not_taken(home: Path, tmp_path: Path) -> None:
    done = show(card(tmp_path, "own", revision="v2"), home, CLOSED)
    assert done.returncode == 2
    assert f"the cache of this machine has commit {commit('someone/toy', 'main')[:12]}, not v2" in done.stderr


def test_half_of_a_parquet_copy_is_not_taken(home: Path) -> None:
    snapshot = home / "hf" / "hub" / "datasets--someone--toy" / "snapshots" / commit("someone/toy", "refs/convert/parquet")
    part = snapshot / "plain" / "train" / "0001.parquet"
    kept = part.with_name("kept")
    part.rename(kept)
    try:
        done = show(card(home, "converted"), home, CLOSED)
    finally:
        kept.rename(part)
    assert done.returncode == 2
    assert "the cache of this machine does not have all of train" in done.stderr
