"""Image sources on small stand-ins for their data: what is read, which classes go where, what is refused."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks import IclError
from tasks.images import digits, glyphs, kept, miniimagenet, omniglot
from tasks.images.sources import is_image_task, load_images
from tasks.images.types import ImageSet, by_class

BACKGROUND = [*omniglot.VALIDATION_ALPHABETS, "Greek", "Latin"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of one's own."""
    monkeypatch.setenv("ICL_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def half(alphabets: list[str], characters: int = 3) -> dict[str, np.ndarray]:
    """Arrays as the mirror has them, in a shuffled order."""
    names = [f"{alphabet}/character{i:02d}" for alphabet in alphabets for i in range(characters)]
    n = len(names) * omniglot.DRAWERS
    order = np.random.default_rng(0).permutation(n)
    labels, drawers = np.repeat(np.arange(len(names)), 20)[order], np.tile(np.arange(1, 21), len(names))[order]
    images = np.zeros((n, 28, 28), np.uint8)
    images[:, 0, 0], images[:, 0, 1] = labels, drawers
    return {
        "images": images,
        "character_id": labels.astype(np.uint16),
        "drawer_id": drawers.astype(np.uint8),
        "alphabet_names": np.array(alphabets),
        "character_names": np.array(names),
        "character_alphabet": np.repeat(np.arange(len(alphabets)), characters).astype(np.uint8),
    }


@pytest.fixture
def mirror_of_omniglot(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "omniglot"
    folder.mkdir(parents=True)
    np.savez(folder / "background.npz", **half(BACKGROUND))
    np.savez(folder / "evaluation.npz", **half(["Angelic", "Tengwar"]))
    return folder


def test_omniglots_random_split_turns_and_its_mirror_says_what_it_is(mirror_of_omniglot: Path) -> None:
    task = load_images("omniglot", mirror_of_omniglot.parent)
    assert task.split == "random-1279"
    assert not task.within_group
    assert "1,279 of the 1,623" in task.notes[0]
    counts = {part: len(images.classes) for part, images in task.parts.items()}
    assert counts == {"train": 4 * 18, "validation": 4 * 2, "test": 4 * 7}
    train = task.parts["train"]
    assert list(train.images[:20, 0, 1]) == list(range(1, 21)), "within a character by drawer"
    plain = {name.partition("@")[0] for name in train.classes}
    assert not plain & {name.partition("@")[0] for name in task.parts["test"].classes}, "no turned training class in the test"


def test_omniglot_within_an_alphabet(mirror_of_omniglot: Path) -> None:
    task = load_images("omniglot:within-alphabet", mirror_of_omniglot.parent)
    assert (task.split, task.within_group) == ("within-alphabet-10", True)
    assert set(task.parts["train"].groups) == {"Greek", "Latin"}
    assert set(task.parts["validation"].groups) == set(omniglot.VALIDATION_ALPHABETS)
    assert set(task.parts["test"].groups) == {"Angelic", "Tengwar"}
    assert not any("@" in name for name in task.parts["train"].classes), "nothing is turned"
    assert task.fingerprint() != load_images("omniglot", mirror_of_omniglot.parent).fingerprint()


def test_a_mirror_of_omniglot_that_is_damaged_or_short_is_refused(mirror_of_omniglot: Path) -> None:
    data_dir, path = mirror_of_omniglot.parent, mirror_of_omniglot / "evaluation.npz"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(IclError, match=r"evaluation\.npz must be a NumPy archive"):
        load_images("omniglot", data_dir)
    arrays = half(["Angelic", "Tengwar"])
    np.savez(path, **{name: values[:-1] if len(values) == 120 else values for name, values in arrays.items()})
    with pytest.raises(IclError, match="must have 20 drawings of every character"):
        load_images("omniglot", data_dir)
    np.savez(path, **{name: values for name, values in arrays.items() if name != "drawer_id"})
    with pytest.raises(IclError, match="must hold the array 'drawer_id'"):
        load_images("omniglot", data_dir)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("character_id", np.full(120, -1), r"names 6 characters, but refers to numbers -1 to -1"),
        ("character_id", np.full(120, np.nan), "must hold 'character_id' as a list of whole numbers, but it is float64"),
        ("character_id", np.zeros((120, 2), np.uint8), r"must hold 'character_id' as a list of whole numbers, but it is uint8 \(120, 2\)"),
        ("drawer_id", np.array(3), "must hold 'drawer_id' as a list of whole numbers"),
        ("character_alphabet", np.full(6, 9), "names 2 alphabets, but refers to numbers 9 to 9"),
        ("character_alphabet", np.zeros(2, np.uint8), "must give each of its 6 characters an alphabet, but has 2"),
    ],
)
def test_a_mirror_with_wrong_numbers_is_refused(mirror_of_omniglot: Path, name: str, value: np.ndarray, message: str) -> None:
    np.savez(mirror_of_omniglot / "evaluation.npz", **{**half(["Angelic", "Tengwar"]), name: value})
    with pytest.raises(IclError, match=message):
        load_images("omniglot", mirror_of_omniglot.parent)


def test_a_flipped_byte_and_a_bare_array_are_no_archive(mirror_of_omniglot: Path) -> None:
    path = mirror_of_omniglot / "evaluation.npz"
    np.savez_compressed(path, **half(["Angelic", "Tengwar"]))
    whole = bytearray(path.read_bytes())
    place = whole.index(b"images.npy") + 60
    whole[place : place + 8] = b"\xff" * 8
    path.write_bytes(whole)
    with pytest.raises(IclError, match="cannot be read"):
        load_images("omniglot", mirror_of_omniglot.parent)
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(IclError, match="cannot be read"):
        load_images("omniglot", mirror_of_omniglot.parent)


def test_splits_of_archives_and_mirror_are_not_mixed(mirror_of_omniglot: Path, tmp_path: Path) -> None:
    with pytest.raises(IclError, match=r"random-1279 is the mirror's split, but there is no omniglot/background\.npz"):
        load_images("omniglot:random-1279", tmp_path)
    with pytest.raises(IclError, match="unknown split of omniglot 'radnom'"):
        load_images("omniglot:radnom", mirror_of_omniglot.parent)


def archive(alphabets: list[str]) -> bytes:
    """As the official ones: black ink on white, 105 × 105."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        for alphabet in alphabets:
            for character in range(1, 3):
                for drawer in range(1, 21):
                    ink = Image.new("1", (105, 105), 1)
                    ink.paste(0, (0, 0, 50, 50))
                    png = io.BytesIO()
                    ink.save(png, "PNG")
                    zipped.writestr(f"images_background/{alphabet}/character{character:02d}/0001_{drawer:02d}.png", png.getvalue())
    return file.getvalue()


def test_an_official_archive_is_read_reduced_and_inverted() -> None:
    images = omniglot._checked(omniglot.unpack(archive(["Greek", "Latin"]), "background"), "it")
    assert images.classes == ("Greek/character01", "Greek/character02", "Latin/character01", "Latin/character02")
    assert images.groups == ("Greek", "Greek", "Latin", "Latin")
    assert images.images[0, 3, 3] == 255
    assert images.images[0, 25, 25] == 0
    with pytest.raises(IclError, match="the background archive of Omniglot is damaged"):
        omniglot.unpack(b"no archive", "background")


def test_a_wrong_archive_is_never_kept(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: io.BytesIO(b"something else"))
    with pytest.raises(IclError, match="must have the md5 checksum 68d2efa1b9178cc56df9314c21c6e718, but what came has"):
        omniglot.fetch("background")
    assert not list((cache / "downloads").glob("*.zip"))


def test_without_a_network_the_mirror_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setattr("urllib.request.urlopen", offline)
    with pytest.raises(IclError, match=r"go online, or name a folder that has omniglot/\*\.npz with --data-dir"):
        load_images("omniglot:random-1623")


def test_glyphs_are_drawn_alike_every_time_and_unlike_each_other() -> None:
    faces = [Path(str(path)) for path in glyphs._faces()[ord("A")]]
    assert len(faces) == len(glyphs.TEXT_FACES) + len(glyphs.ASCII_FACES)
    letter = glyphs.Glyph(ord("A"), tuple(faces))
    first, again = glyphs.draw(letter), glyphs.draw(letter)
    assert first.shape == (20, 28, 28)
    assert (first == again).all()
    assert len({image.tobytes() for image in first}) == 20
    ink = (first > 127).mean(axis=(1, 2))
    assert ink.min() > 0.03
    assert ink.max() < 0.5
    assert letter.name == "Latin/U+0041"


def test_code_points_that_look_alike_are_one_class() -> None:
    face = glyphs._faces()[ord("A")][0]
    outline = {char: glyphs._outline(glyphs.drawing(ord(char), face)) for char in "AΑАBc"}
    assert outline["A"] == outline["Α"] == outline["А"]
    assert len(set(outline.values())) == 3


def test_splits_of_glyphs_hold_out_scripts_or_code_points() -> None:
    scripts = ["Latin", "Greek", "Cyrillic", "Armenian", "Hebrew", "Common"]
    names = [f"{script}/{i}" for script in scripts for i in range(6)]
    images = by_class(np.zeros((36, 28, 28), np.uint8), np.arange(36), names, [name.partition("/")[0] for name in names])
    of = glyphs.parts(images, "scripts")
    assert {part: set(part_images.groups) for part, part_images in of.items()} == {
        "train": {"Latin", "Cyrillic", "Common"}, "validation": {"Greek", "Hebrew"}, "test": {"Armenian"},
    }  # fmt: skip
    assert [len(part.classes) for part in glyphs.parts(images, "code-points").values()] == [24, 6, 6]
    with pytest.raises(IclError, match="unknown split of glyphs 'alphabets'"):
        glyphs.load("alphabets", None)


def test_digits() -> None:
    every = load_images("digits").parts["test"]
    assert (len(every.classes), len(every.images), every.size) == (10, 1797, 28)
    task = load_images("digits:five-five")
    assert task.parts["train"].classes == ("0", "1", "2", "3", "4")
    assert every.images.max() > 200
    with pytest.raises(IclError, match="unknown split of digits"):
        digits.load("all", None)


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "miniimagenet"
    (folder / "images").mkdir(parents=True)
    for part, labels in {"train": "ab", "val": "c", "test": "d"}.items():
        rows = []
        for label in labels:
            for i in range(3):
                Image.new("RGB", (100, 90), (10 * i, 200, 0)).save(folder / "images" / f"{label}{i}.png")
                rows.append(f"{label}{i}.png,{label}")
        (folder / f"{part}.csv").write_text("filename,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return folder


def test_miniimagenet_is_read_from_a_folder(photographs: Path) -> None:
    task = load_images("miniimagenet", photographs.parent)
    train = task.parts["train"]
    assert (train.classes, train.images.shape, train.channels) == (("a", "b"), (6, 84, 84, 3), 3)
    assert train.images[1, 40, 40].tolist() == [10, 200, 0]
    assert task.parts["validation"].classes == ("c",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,label\na0.png,a\n", r"test\.csv:1: must be 'filename,label'"),
        ("filename,label\n../a0.png,a\n", r"test\.csv:2: must be the name of a file in images/ and a label"),
        ("filename,label\n", "must list photographs, but lists none"),
        ("filename,label\nz9.png,z\n", r"z9\.png is listed, but is not there"),
        ("filename,label\na0.png,d\n", r"test\.csv lists a0\.png, which train\.csv lists already"),
        ("filename,label\nd0.png,d\nd0.png,d\n", r"test\.csv lists d0\.png, which test\.csv lists already"),
        ("filename,label\nd0.png,a\n", "class 'a' stands in train and in test"),
        ("filename,label\n\0.png,d\n", "is listed, but is not there"),
    ],
)
def test_folders_of_miniimagenet_that_are_wrong(photographs: Path, text: str, message: str) -> None:
    (photographs / "test.csv").write_text(text, encoding="utf-8")
    with pytest.raises(IclError, match=message):
        miniimagenet.load(miniimagenet.SPLIT, photographs.parent)


def test_a_photograph_that_was_replaced_is_read_again(photographs: Path) -> None:
    path = photographs / "images" / "d0.png"
    before = load_images("miniimagenet", photographs.parent).fingerprint()
    size = path.stat().st_size
    Image.new("RGB", (100, 90), (0, 201, 0)).save(path)
    assert path.stat().st_size == size, "the size alone would not tell"
    assert load_images("miniimagenet", photographs.parent).fingerprint() != before


def test_lists_as_a_spreadsheet_saves_them(photographs: Path) -> None:
    (photographs / "test.csv").write_text("filename,label\nd0.png,d\n\n", encoding="utf-8-sig")
    assert len(load_images("miniimagenet", photographs.parent).parts["test"].images) == 1


def test_a_photograph_that_is_none(photographs: Path) -> None:
    (photographs / "images" / "d1.png").write_bytes(b"no picture")
    with pytest.raises(IclError, match=r"d1\.png must be a photograph, but cannot be read"):
        load_images("miniimagenet", photographs.parent)
    whole = (photographs / "images" / "d0.png").read_bytes()
    (photographs / "images" / "d1.png").write_bytes(whole[:33] + b"\0\0\0\1bad!" + whole[41:])
    with pytest.raises(IclError, match=r"d1\.png must be a photograph, but cannot be read"):
        load_images("miniimagenet", photographs.parent)
    with pytest.raises(IclError, match="miniimagenet needs DIR/miniimagenet"):
        load_images("miniimagenet")


def test_a_photograph_that_is_too_large_to_be_one(photographs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 9500)  # PIL warns from here on, and raises from twice as many
    Image.new("RGB", (100, 100)).save(photographs / "images" / "d1.png")
    with pytest.raises(IclError, match=r"d1\.png must be a photograph, but cannot be read \(.*10000 pixels"):
        load_images("miniimagenet", photographs.parent)


def test_what_is_kept_is_read_again_and_what_is_damaged_is_made_again(cache: Path) -> None:
    made, said = [], []

    def make() -> dict[str, np.ndarray]:
        made.append(1)
        return {"a": np.arange(5)}

    for _ in range(2):
        assert list(kept.kept_arrays("x", make, "making x", said.append)["a"]) == [0, 1, 2, 3, 4]
    assert len(made) == 1
    path = cache / "images" / "x.npz"
    path.write_bytes(path.read_bytes()[:-1])
    assert list(kept.kept_arrays("x", make, "making x", said.append)["a"]) == [0, 1, 2, 3, 4]
    assert len(made) == 2
    assert any("does not have the checksum" in line for line in said)


def test_names() -> None:
    assert is_image_task("glyphs:code-points")
    assert not is_image_task("banking77")
    with pytest.raises(IclError, match="after the colon of 'glyphs:' a split must be named"):
        load_images("glyphs:")
    with pytest.raises(IclError, match="unknown image source 'glyps'"):
        load_images("glyps")


def test_every_image_has_a_name() -> None:
    images = ImageSet(("a", "b"), np.zeros((5, 2, 2), np.uint8), np.array([0, 2, 5]))
    assert [images.id(row) for row in range(5)] == ["a#0", "a#1", "b#0", "b#1", "b#2"]
    with pytest.raises(IclError, match="do not fit together"):
        ImageSet(("a", "b"), np.zeros((5, 2, 2), np.uint8), np.array([0, 2, 4]))
