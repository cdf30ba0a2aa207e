"""miniImageNet (Vinyals et al. 2016) from a local folder: 100 classes of 600 photographs, split 64 / 16 / 20 by Ravi & Larochelle 2017.

    DIR/miniimagenet/{train,val,test}.csv     filename,label       DIR/miniimagenet/images/FILENAME

ImageNet's terms forbid passing the photographs on, so nothing is fetched. They are reduced to 84 × 84, three colours, and kept as arrays.
"""

from __future__ import annotations

import csv
import hashlib
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tasks.errors import DataError, unknown_name
from tasks.images.kept import Arrays, kept_arrays
from tasks.images.types import ImageTask, Part, by_class

SIDE = 84
FILES: dict[Part, str] = {"train": "train.csv", "validation": "val.csv", "test": "test.csv"}
SPLIT = "ravi-larochelle"


def load(split: str, data_dir: Path | None) -> ImageTask:
    """Raises DataError for a folder that is absent or incomplete, and for a class in two parts."""
    if split != SPLIT:
        raise unknown_name("split of miniimagenet", split, [SPLIT])
    folder = data_dir / "miniimagenet" if data_dir is not None else None
    if folder is None or not folder.is_dir():
        raise DataError("miniimagenet needs DIR/miniimagenet with train.csv, val.csv, test.csv and images/; name DIR with --data-dir")
    parts = {}
    lists = {part: listed(folder / name) for part, name in FILES.items()}
    _check_once(folder, lists)
    for part, name in FILES.items():
        rows = lists[part]
        key = hashlib.sha256(repr([(file, label, *_state(folder, file)) for file, label in rows]).encode()).hexdigest()[:12]
        what = f"reading {len(rows):,} photographs of {name}"
        arrays = kept_arrays(f"miniimagenet-{part}-{key}", lambda rows=rows: read_images(folder, rows), what)  # type: ignore[misc]
        parts[part] = by_class(arrays["images"], arrays["labels"], [str(name) for name in arrays["classes"]])
    source = f"local folder {folder.name}"
    return ImageTask("miniimagenet", SPLIT, parts, source, "ImageNet terms: research only, no redistribution")


def listed(path: Path) -> list[tuple[str, str]]:
    """File name and label of every row. Raises DataError with the line of what is wrong."""
    if not path.is_file():
        raise DataError(f"miniimagenet needs {path.name} in {path.parent}, but it is not there")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            if next(reader, None) != ["filename", "label"]:
                raise DataError(f"{path}:1: must be 'filename,label'")
            rows = []
            for cells in reader:
                if not cells:  # an empty line
                    continue
                if len(cells) != 2 or not all(cells) or "/" in cells[0] or "\\" in cells[0]:
                    raise DataError(
                        f"{path}:{reader.line_num}: must be the name of a file in images/ and a label, but is {','.join(cells)}"
                    )
                rows.append((cells[0], cells[1]))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} must be a table of UTF-8 text ({error})") from error
    if not rows:
        raise DataError(f"{path} must list photographs, but lists none")
    return rows


def _check_once(folder: Path, lists: Mapping[Part, Sequence[tuple[str, str]]]) -> None:
    """Raises DataError for a photograph that is listed twice: it would be support and query, or meta-trained and tested on."""
    seen: dict[str, str] = {}
    for part, rows in lists.items():
        for file, _ in rows:
            if file in seen:
                raise DataError(f"{folder / FILES[part]} lists {file}, which {seen[file]} lists already; every photograph must stand once")
            seen[file] = FILES[part]


def _state(folder: Path, file: str) -> tuple[int, int]:
    """By which a photograph is known to be the one that was read."""
    try:
        found = (folder / "images" / file).stat()
        return found.st_size, found.st_mtime_ns
    except (OSError, ValueError):  # ValueError: a name with a NUL character
        raise DataError(f"{folder / 'images' / file} is listed, but is not there; complete the folder") from None


def read_images(folder: Path, rows: list[tuple[str, str]]) -> Arrays:
    """All photographs of a list, (n, SIDE, SIDE, 3)."""
    from PIL import Image

    names = sorted({label for _, label in rows})
    images = np.empty((len(rows), SIDE, SIDE, 3), dtype=np.uint8)
    for i, (file, _) in enumerate(rows):
        path = folder / "images" / file
        try:
            with warnings.catch_warnings(action="error", category=Image.DecompressionBombWarning), Image.open(path) as image:
                images[i] = np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            # SyntaxError is PIL's word for a broken PNG; the last two, for more than 89 million pixels
            raise DataError(f"{path} must be a photograph, but cannot be read ({error}); fetch it again") from error
    return {"images": images, "labels": np.array([names.index(label) for _, label in rows]), "classes": np.array(names)}
