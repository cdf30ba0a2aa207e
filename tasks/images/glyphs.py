"""Characters of the fonts that come with matplotlib, as images of 28 × 28, ink bright: the default where nothing was downloaded.

A class is a code point, an image one of its faces (DejaVu Sans, Mono and Serif, STIX, and Computer Modern for ASCII, upright to bold
italic) under a keyed affine map, with strokes of another width and rough edges. Code points that look alike in every way (Latin A, Greek Α)
are one class. Two splits:

    scripts:      whole writing systems are held out, so a meta-test class is of a kind that was never seen
    code-points:  code points at random, so meta-test has other letters of the scripts that it was meta-trained on; easier
"""

from __future__ import annotations

import importlib.metadata
import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.errors import unknown_name
from tasks.images.kept import Arrays, kept_arrays
from tasks.images.splits import group_parts, random_parts
from tasks.images.types import ImageSet, ImageTask, Part, Pixels, by_class
from tasks.rng import keyed_rng

VERSION = 1
"""Of the drawing: another number is other images."""
SIDE = 28
PER_CLASS = 20
"""As many as Omniglot has."""
LEAST_FACES = 2
TEXT_FACES = tuple(
    f"{family}{style}.ttf"
    for family, styles in {
        "DejaVuSans": ("", "-Bold", "-Oblique", "-BoldOblique"),
        "DejaVuSansMono": ("", "-Bold", "-Oblique", "-BoldOblique"),
        "DejaVuSerif": ("", "-Bold", "-Italic", "-BoldItalic"),
        "STIXGeneral": ("", "Bol", "Italic", "BolIta"),
    }.items()
    for style in styles
)
ASCII_FACES = ("cmr10.ttf", "cmb10.ttf", "cmss10.ttf", "cmti10.ttf", "cmtt10.ttf")
"""Their tables of characters are those of Unicode for letters and digits only."""
STYLES = {"<font", "<wide", "<narrow", "<small", "<super", "<sub", "<compat"}
"""Decompositions of code points that are another one in bold, italic or small: faces draw those as well."""
DEFAULT = "scripts"
SPLITS = (DEFAULT, "code-points")
HELD_OUT: dict[Part, tuple[str, ...]] = {
    "validation": ("Greek", "Hebrew", "Tifinagh"),
    "test": ("Arabic", "Armenian", "Georgian", "Lao", "Nko", "Ogham", "Coptic"),
}
"""Scripts of the split `scripts`; all others are meta-trained on."""
SOURCE = "fonts of matplotlib, drawn with Pillow"
LICENCE = "Bitstream Vera and Arev (DejaVu), SIL OFL (STIX), Knuth's (Computer Modern)"

CANVAS, EM = 112, 72
"""Pixels a side of the drawing, and of the font's square in it."""
MIDDLE = 56
"""Pixels a side after the affine map, before halving."""
ROTATION, SHEAR, SCALE, SHIFT = 0.2, 0.15, (0.9, 1.2), 4.0
"""Largest rotation in radians and shear, range of scales, largest shift in pixels of MIDDLE."""
BLUR = 1.3
LEVEL = (0.3, 0.6)
"""Share of the blurred ink's maximum above which it is ink: low ones make thick strokes."""
UNEVEN = 0.12
"""How far the level wanders along the strokes."""
LEAST_LEVEL = 0.15
"""Below it paper would become ink."""


@dataclass(frozen=True)
class Glyph:
    """A class."""

    code_point: int
    faces: tuple[Path, ...]

    @property
    def script(self) -> str:
        """The writing system; `Common` for symbols."""
        from fontTools import unicodedata as scripts

        return str(scripts.script_name(scripts.script(chr(self.code_point))))

    @property
    def name(self) -> str:
        """`Latin/U+0041`."""
        return f"{self.script}/U+{self.code_point:04X}"


def load(split: str, data_dir: Path | None) -> ImageTask:
    """Draws all glyphs when they are first asked for; `data_dir` is not used. Raises IclError for an unknown split."""
    if split not in SPLITS:
        raise unknown_name("split of glyphs", split, SPLITS)
    versions = "-".join(importlib.metadata.version(package) for package in ("matplotlib", "pillow", "fonttools"))
    arrays = kept_arrays(f"glyphs-{VERSION}-{versions}", make, "drawing the glyphs (about 40 seconds)")
    images = by_class(arrays["images"], arrays["labels"], list(map(str, arrays["names"])), list(map(str, arrays["scripts"])))
    return ImageTask("glyphs", split, parts(images, split), SOURCE, LICENCE)


def parts(images: ImageSet, split: str) -> dict[Part, ImageSet]:
    """The classes of each part."""
    n = len(images.classes)
    if split == "code-points":
        return random_parts(images, (n - 2 * (n // 6), n // 6, n // 6), "glyphs code-points")
    held = {name for names in HELD_OUT.values() for name in names}
    seen = tuple(sorted(set(images.groups) - held))
    return group_parts(images, {"train": seen, **HELD_OUT})


def make() -> Arrays:
    """All classes."""
    found = glyphs()
    images = np.concatenate([draw(glyph) for glyph in found])
    labels = np.repeat(np.arange(len(found)), PER_CLASS)
    return {
        "images": images,
        "labels": labels,
        "names": np.array([glyph.name for glyph in found]),
        "scripts": np.array([glyph.script for glyph in found]),
    }


def glyphs() -> list[Glyph]:
    """The classes in the order of their code points: letters, numbers, symbols and punctuation that LEAST_FACES faces have."""
    found, seen = [], set()
    for code_point, faces in sorted(_faces().items()):
        kind, style = unicodedata.category(chr(code_point)), unicodedata.decomposition(chr(code_point)).partition(">")[0]
        if len(faces) < LEAST_FACES or kind[0] not in "LNSP" or kind in ("Lm", "Sk") or style in STYLES:
            continue
        shape = _outline(drawing(code_point, faces[0]))
        if shape is not None and shape not in seen:
            seen.add(shape)
            found.append(Glyph(code_point, tuple(faces)))
    return found


def _faces() -> dict[int, list[Path]]:
    """Code point → faces that have it."""
    import matplotlib
    from fontTools.ttLib import TTFont

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    found: dict[int, list[Path]] = {}
    for name in (*TEXT_FACES, *ASCII_FACES):
        with TTFont(folder / name, lazy=True) as font:
            for code_point in font.getBestCmap():
                if name in TEXT_FACES or (code_point < 128 and chr(code_point).isalnum()):
                    found.setdefault(code_point, []).append(folder / name)
    return found


def _outline(image: Any) -> bytes | None:
    """What two code points have in common when they look alike; None for a glyph without ink, or too large for the canvas."""
    box = image.getbbox()
    if box is None or box[0] == 0 or box[1] == 0 or box[2] == CANVAS or box[3] == CANVAS:
        return None
    cut = np.asarray(image.crop(box)) > 127
    return bytes(f"{cut.shape}", "ascii") + cut.tobytes()


@cache
def _font(face: Path) -> Any:
    from PIL import ImageFont

    return ImageFont.truetype(str(face), EM, layout_engine=ImageFont.Layout.BASIC)


def drawing(code_point: int, face: Path) -> Any:
    """A character in a face, its ink in the middle of the canvas."""
    from PIL import Image, ImageDraw

    image = Image.new("L", (CANVAS, CANVAS))
    font, text = _font(face), chr(code_point)
    left, top, right, bottom = font.getbbox(text)
    ImageDraw.Draw(image).text(((CANVAS - left - right) / 2, (CANVAS - top - bottom) / 2), text, fill=255, font=font)
    return image


def draw(glyph: Glyph, count: int = PER_CLASS) -> Pixels:
    """(count, SIDE, SIDE): faces in turn from a random order, each image with jitter of its own."""
    from PIL import Image, ImageFilter

    rng = keyed_rng(0, "glyph", glyph.code_point)
    order = [glyph.faces[int(i)] for i in rng.permutation(len(glyph.faces))]
    drawn: dict[Path, Any] = {}
    images = np.empty((count, SIDE, SIDE), dtype=np.uint8)
    for i in range(count):
        face = order[i % len(order)]
        if face not in drawn:
            drawn[face] = drawing(glyph.code_point, face)
        moved = drawn[face].transform((MIDDLE, MIDDLE), Image.Transform.AFFINE, _jitter(rng), Image.Resampling.BILINEAR)
        soft = np.asarray(moved.filter(ImageFilter.GaussianBlur(BLUR)), dtype=np.float32)
        images[i] = _ink(soft, rng)
    return images


def _jitter(rng: np.random.Generator) -> tuple[float, ...]:
    """A random affine map from MIDDLE back to the canvas, as Pillow wants it."""
    angle, shear = rng.uniform(-ROTATION, ROTATION), rng.uniform(-SHEAR, SHEAR)
    scales, shift = rng.uniform(*SCALE, size=2), rng.uniform(-SHIFT, SHIFT, size=2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    forward = turn @ np.array([[1.0, shear], [0.0, 1.0]]) @ np.diag(scales) * (MIDDLE / CANVAS)
    back = np.linalg.inv(forward)
    offset = CANVAS / 2 - back @ (MIDDLE / 2 + shift)
    return (*back[0], offset[0], *back[1], offset[1])


def _ink(soft: NDArray[np.float32], rng: np.random.Generator) -> Pixels:
    """Blurred ink cut at a level that wanders, then halved."""
    from PIL import Image

    waves = Image.fromarray(rng.normal(size=(7, 7)).astype(np.float32)).resize((MIDDLE, MIDDLE), Image.Resampling.BICUBIC)
    top = max(float(soft.max()), 1.0)
    level = top * np.maximum(rng.uniform(*LEVEL) + UNEVEN * np.asarray(waves), LEAST_LEVEL)
    ink = np.clip((soft - level) / (0.15 * top) + 0.5, 0.0, 1.0)
    halved = ink.reshape(SIDE, 2, SIDE, 2).mean(axis=(1, 3))
    pixels: Pixels = np.round(255 * halved).astype(np.uint8)
    return pixels
