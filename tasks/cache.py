"""The user's cache directory, and how a file gets into it whole: written elsewhere, checked, then moved."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.errors import FetchError


def cache_dir() -> Path:
    """`ICL_CACHE_DIR`, or the platform's cache directory for `icl-lab`. Not created here."""
    chosen = os.environ.get("ICL_CACHE_DIR", "").strip()
    if chosen:
        return Path(chosen).expanduser().absolute()
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("icl-lab", appauthor=False))


def file_sha256(path: Path) -> str:
    """Hexadecimal sha256 of a file's bytes, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def locked(target: Path, setting: str = "ICL_CACHE_DIR") -> Iterator[None]:
    """Holds the lock beside `target` (created with its directory), so that one process at a time makes it.

    The operating system frees the lock of a killed process. Raises FetchError when the directory cannot be written, and names the
    environment variable `setting` that names another.
    """
    from filelock import FileLock

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(target.with_name(f".{target.name}.lock"))
        lock.acquire()
    except OSError as error:
        raise cannot_write(target.parent, error, setting) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def scratch_beside(target: Path, setting: str = "ICL_CACHE_DIR") -> Iterator[Path]:
    """A temporary directory on the same file system as `target`, removed afterwards; `os.replace` out of it is atomic.

    What a killed process left behind is hidden (its name starts with a dot) and never read.
    """
    try:
        scratch = tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent, ignore_cleanup_errors=True)
    except OSError as error:
        raise cannot_write(target.parent, error, setting) from error
    with scratch as name:
        yield Path(name)


def cannot_write(directory: Path, error: OSError, setting: str = "ICL_CACHE_DIR") -> FetchError:
    """One line for a full or read-only disk, or a place that cannot be one."""
    reason = error.strerror or str(error)
    return FetchError(f"the cache directory must be writable, but {directory} is not ({reason}); set {setting} to another place")
