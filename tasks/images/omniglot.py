"""Omniglot (Lake et al. 2015): handwritten characters of 50 alphabets, each drawn by 20 people; 28 × 28, ink bright.

From the official archives (1,623 characters), fetched once and checked, or from the mirror `DIR/omniglot/{background,evaluation}.npz`,
which has 1,279 of them (all 30 background alphabets, 10 of the 20 evaluation ones). Four splits, never compared with each other:

    random-1623, random-1279:  characters of all alphabets shuffled, two thirds to meta-train on; each turned by 0, 90, 180 and 270 degrees
                               counts as four classes (Santoro et al. 2016; the line of MAML and prototypical networks)
    within-alphabet-20, -10:   background alphabets to meta-train on, evaluation alphabets to test on; all classes of an episode come from
                               one alphabet, and nothing is turned (Lake et al. 2015). Much harder.
"""

from __future__ import annotations

import hashlib
import io
import urllib.request
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tasks.cache import cache_dir, cannot_write, locked, scratch_beside
from tasks.errors import DataError, FetchError, unknown_name
from tasks.fetch import tell
from tasks.images.kept import Arrays, kept_arrays, read_arrays
from tasks.images.splits import group_parts, random_parts
from tasks.images.types import ImageSet, ImageTask, Part, by_class

ADDRESS = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/images_{}.zip"
MD5 = {"background": "68d2efa1b9178cc56df9314c21c6e718", "evaluation": "6b91aef0f799c5bb55b94e3f2daec811"}
"""Of the official archives."""
TIMEOUT = 60
SIDE = 28
DRAWERS = 20
LICENCE = "MIT"
VALIDATION_ALPHABETS = ("Braille", "Futurama", "Gujarati", "Korean", "N_Ko")
"""Of the 30 background alphabets, those to validate on within an alphabet; named here, so that the split is the same everywhere."""
SPLITS = {"random-1623": False, "within-alphabet-20": False, "random-1279": True, "within-alphabet-10": True}
"""Split → whether it is the mirror's."""
PLAIN = {"random": ("random-1623", "random-1279"), "within-alphabet": ("within-alphabet-20", "within-alphabet-10")}
"""What a user may write → the split of the official archives, and of the mirror."""
PUBLISHED = "the mirror has 1,279 of the 1,623 characters: not comparable with published figures, which use all"


def load(split: str, data_dir: Path | None) -> ImageTask:
    """`random` and `within-alphabet` take the mirror where there is one, else the official archives; full names say which.

    Raises IclError for an unknown split, a mirror that is absent or damaged, and archives that cannot be fetched.
    """
    mirror = data_dir / "omniglot" if data_dir is not None else None
    there = mirror is not None and (mirror / "background.npz").is_file()
    name = PLAIN[split][there] if split in PLAIN else split
    if name not in SPLITS:
        raise unknown_name("split of omniglot", split, [*PLAIN, *SPLITS])
    if not SPLITS[name]:
        return cut(name, official(), "official archives of brendenlake/omniglot")
    if mirror is None or not there:
        raise DataError(f"omniglot:{name} is the mirror's split, but there is no omniglot/background.npz; name its folder with --data-dir")
    return cut(name, from_mirror(mirror), "mirror omniglot")


def cut(split: str, halves: Mapping[str, ImageSet], source: str) -> ImageTask:
    """A split of background and evaluation characters."""
    notes: tuple[str, ...] = (PUBLISHED,) if SPLITS[split] else ()
    if split.startswith("random"):
        together = _joined(halves)
        n = len(together.classes)
        sizes = round(n * 1100 / 1623), round(n * 100 / 1623)
        parts = random_parts(together, (*sizes, n - sum(sizes)), f"omniglot {split}")
        turned = {part: images.rotated() for part, images in parts.items()}
        notes += ("characters of one alphabet stand in several parts, which is easier than new alphabets",)
        return ImageTask("omniglot", split, turned, source, LICENCE, notes)
    known = list(dict.fromkeys(halves["background"].groups))
    if missing := [name for name in VALIDATION_ALPHABETS if name not in known]:
        raise DataError(f"the background characters must have the alphabet {missing[0]}, but have {', '.join(known)}")
    names = {"train": [name for name in known if name not in VALIDATION_ALPHABETS], "validation": list(VALIDATION_ALPHABETS)}
    background: dict[Part, ImageSet] = group_parts(halves["background"], {"train": names["train"], "validation": names["validation"]})
    parts = {**background, "test": halves["evaluation"]}
    notes += ("all classes of an episode come from one alphabet; alphabets with fewer characters than ways are left out",)
    return ImageTask("omniglot", split, parts, source, LICENCE, notes, within_group=True)


def _joined(halves: Mapping[str, ImageSet]) -> ImageSet:
    a, b = halves["background"], halves["evaluation"]
    images = np.concatenate([a.images, b.images])
    starts = np.concatenate([a.starts, b.starts[1:] + a.starts[-1]])
    return ImageSet(a.classes + b.classes, images, starts, a.groups + b.groups)


def from_mirror(directory: Path) -> dict[str, ImageSet]:
    """Both files of the mirror."""
    return {half: _checked(read_arrays(directory / f"{half}.npz", *NEEDED), str(directory / f"{half}.npz")) for half in MD5}


NEEDED = ("images", "character_id", "drawer_id", "alphabet_names", "character_names", "character_alphabet")


def _checked(arrays: Arrays, where: str) -> ImageSet:
    """Raises DataError unless every character has DRAWERS drawings of SIDE × SIDE."""
    for name in ("character_id", "drawer_id", "character_alphabet"):
        if arrays[name].ndim != 1 or arrays[name].dtype.kind not in "iu":
            raise DataError(f"{where} must hold '{name}' as a list of whole numbers, but it is {arrays[name].dtype} {arrays[name].shape}")
    images, labels, drawers = arrays["images"], arrays["character_id"].astype(np.int64), arrays["drawer_id"]
    names = [str(name) for name in np.atleast_1d(arrays["character_names"])]
    if images.dtype != np.uint8 or images.shape[1:] != (SIDE, SIDE) or not len(images) == len(labels) == len(drawers):
        raise DataError(f"{where} must hold uint8 images of {SIDE} × {SIDE} with a character and a drawer each, but has {images.shape}")
    _numbered(labels, len(names), "characters", where)
    _numbered(arrays["character_alphabet"], len(np.atleast_1d(arrays["alphabet_names"])), "alphabets", where)
    if not names or len(arrays["character_alphabet"]) != len(names):
        raise DataError(f"{where} must give each of its {len(names)} characters an alphabet, but has {len(arrays['character_alphabet'])}")
    if (other := np.flatnonzero(np.bincount(labels, minlength=len(names)) != DRAWERS)).size:
        raise DataError(f"{where} must have {DRAWERS} drawings of every character, but {names[int(other[0])]} has not; fetch it again")
    order = np.lexsort((drawers, labels))  # within a character by drawer
    alphabets = [str(arrays["alphabet_names"][a]) for a in arrays["character_alphabet"]]
    return by_class(images[order], labels[order], names, alphabets)


def _numbered(numbers: Any, count: int, what: str, where: str) -> None:
    """Raises DataError unless these are places in a list of so many names."""
    if len(numbers) and not 0 <= int(numbers.min()) <= int(numbers.max()) < count:
        raise DataError(f"{where} names {count} {what}, but refers to numbers {int(numbers.min())} to {int(numbers.max())}; fetch it again")


def official() -> dict[str, ImageSet]:
    """Both official archives, as 28 × 28 arrays that are kept."""
    found = {}
    for half, md5 in MD5.items():
        name = f"omniglot-{half}-{md5[:8]}"
        arrays = kept_arrays(name, lambda half=half: unpack(fetch(half), half), f"reading the {half} characters of Omniglot")  # type: ignore[misc]
        found[half] = _checked(arrays, name)
    return found


def fetch(half: str) -> bytes:
    """One official archive, fetched once and checked. Raises FetchError without a network, and for a wrong checksum."""
    target = cache_dir() / "downloads" / f"omniglot-images_{half}.zip"
    if target.is_file() and _md5(data := target.read_bytes()) == MD5[half]:
        return data
    with locked(target):
        address = ADDRESS.format(half)
        tell(f"fetching {address}, once; kept in {target.parent}")
        try:
            with urllib.request.urlopen(address, timeout=TIMEOUT) as answer:
                data = answer.read()
        except OSError as error:
            raise FetchError(
                f"cannot fetch {address} ({error}); go online, or name a folder that has omniglot/*.npz with --data-dir"
            ) from error
        if (got := _md5(data)) != MD5[half]:
            raise FetchError(f"{address} must have the md5 checksum {MD5[half]}, but what came has {got}; try again later")
        with scratch_beside(target) as scratch:
            try:
                (scratch / "archive").write_bytes(data)
                (scratch / "archive").replace(target)
            except OSError as error:
                raise cannot_write(target.parent, error) from error
    return bytes(data)


def _md5(data: bytes) -> str:
    """The checksum that the archives are known by; no protection against forgery."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def unpack(archive: bytes, half: str) -> Arrays:
    """Drawings of an archive (`images_HALF/ALPHABET/characterNN/NNNN_DD.png`), reduced to SIDE × SIDE and inverted."""
    from PIL import Image

    drawings: list[tuple[str, str, int, Any]] = []
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as file:
            for name in sorted(file.namelist()):
                parts = name.split("/")
                if not name.endswith(".png") or len(parts) != 4:
                    continue
                with Image.open(io.BytesIO(file.read(name))) as image:
                    grey = image.convert("L").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
                drawer = int(parts[3].removesuffix(".png").rpartition("_")[2])
                drawings.append((parts[1], f"{parts[1]}/{parts[2]}", drawer, 255 - np.asarray(grey, dtype=np.uint8)))
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise DataError(f"the {half} archive of Omniglot is damaged ({error}); remove it from {cache_dir() / 'downloads'}") from error
    characters = {name: alphabet for alphabet, name, _, _ in drawings}
    if not characters:
        raise DataError(f"the {half} archive of Omniglot must hold drawings, but has none")
    alphabets = list(dict.fromkeys(characters.values()))
    number = {name: i for i, name in enumerate(characters)}
    return {
        "images": np.stack([pixels for *_, pixels in drawings]),
        "character_id": np.array([number[name] for _, name, _, _ in drawings], dtype=np.uint16),
        "drawer_id": np.array([drawer for _, _, drawer, _ in drawings], dtype=np.uint8),
        "alphabet_names": np.array(alphabets),
        "character_names": np.array(list(characters)),
        "character_alphabet": np.array([alphabets.index(of) for of in characters.values()], dtype=np.uint8),
    }
