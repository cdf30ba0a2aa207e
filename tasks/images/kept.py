"""Arrays that are made once and kept in the user's cache: a `.npz` beside its sha256; a damaged file is made again, not believed."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.cache import cache_dir, cannot_write, file_sha256, locked, scratch_beside
from tasks.errors import DataError
from tasks.fetch import Notify, tell

Arrays = Mapping[str, NDArray[Any]]


def kept_arrays(name: str, make: Callable[[], Arrays], what: str, notify: Notify = tell) -> Arrays:
    """The arrays of that name, made when they are not kept yet. `what` is told to the person who waits.

    Raises FetchError when the cache cannot be written.
    """
    target = cache_dir() / "images" / f"{name}.npz"
    if (found := _read(target)) is not None:
        return found
    with locked(target):
        if (found := _read(target)) is not None:
            return found
        if target.exists():
            notify(f"{target} does not have the checksum that it was kept with; making it again")
        notify(f"{what}, once; kept in {target.parent}")
        arrays = make()
        with scratch_beside(target) as scratch:
            try:
                np.savez(scratch / "arrays.npz", **dict(arrays))  # type: ignore[arg-type]
                _sum_file(target).write_text(file_sha256(scratch / "arrays.npz") + "\n", encoding="ascii")
                (scratch / "arrays.npz").replace(target)
            except OSError as error:
                raise cannot_write(target.parent, error) from error
    return arrays


def _sum_file(target: Path) -> Path:
    return target.with_name(f"{target.name}.sha256")


def _read(target: Path) -> Arrays | None:
    """None when the file is not there, or is not what was kept."""
    try:
        if file_sha256(target) != _sum_file(target).read_text(encoding="ascii").strip():
            return None
    except OSError:
        return None
    return read_arrays(target)


def read_arrays(path: Path, *needed: str) -> Arrays:
    """All arrays of a `.npz` file; nothing in it is run. Raises DataError for a file that is none, or lacks one that is needed."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, KeyError, TypeError, zipfile.BadZipFile, zlib.error) as error:  # TypeError: a bare array
        raise DataError(f"{path} must be a NumPy archive (.npz), but cannot be read ({error}); fetch it again") from error
    if missing := [name for name in needed if name not in arrays]:
        raise DataError(f"{path} must hold the array '{missing[0]}', but has {', '.join(arrays) or 'none'}")
    return arrays
