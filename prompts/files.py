"""Template files on disk: read once, with everything that they include, and never again.

A template's text is the text of its file and of every file that it can include or import. All of it is read when the template is loaded,
all of it counts in the sha256, and rendering sees these texts only; so a hash and a prompt cannot disagree.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from jinja2 import nodes

from prompts.blocks import INCLUSIONS, Source, file_name, names_used
from tasks.errors import IclError

MAX_FILE = 100_000
"""Bytes of a template file."""
MAX_DEPTH = 20
"""How deeply inclusions may be nested."""


def read_file(path: Path) -> str:
    """The file's text. Raises IclError when it is too large, cannot be read, or is not UTF-8."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise IclError(f"{path}: the template cannot be read ({error.strerror})") from error
    if len(data) > MAX_FILE:
        raise IclError(f"{path}: a template may have {MAX_FILE} bytes, but this has more")
    if data.startswith(b"\xef\xbb\xbf"):
        raise IclError(f"{path}: a template must not begin with a byte order mark; save it as plain UTF-8")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise IclError(f"{path}: a template must be UTF-8, but byte {error.start} is not") from error


@dataclass
class Inclusions:
    """The files that a template reaches, read from its own directory."""

    directory: Path | None
    """None for a template given as text, which has no files beside it."""
    files: dict[str, str] = field(default_factory=dict)
    """Name, as the inclusion writes it → text."""
    names: dict[str, frozenset[str]] = field(default_factory=dict)
    """Name → the names that the file looks up in the template around it."""

    def read(self, trees: Iterable[nodes.Template], source: Source, chain: tuple[str, ...] = ()) -> None:
        """Reads what the trees of a source include, and what that includes. Raises IclError for circles and missing files."""
        for node in (node for tree in trees for node in tree.find_all(INCLUSIONS)):
            where = f"{source.where}:{node.lineno + source.offset}"
            name = file_name(node)
            assert name is not None  # the source was checked
            if name in chain:
                raise IclError(f"{where}: inclusions must not go in a circle, but {' → '.join((*chain[chain.index(name) :], name))} does")
            if len(chain) == MAX_DEPTH:
                raise IclError(f"{where}: inclusions may be nested {MAX_DEPTH} deep, but '{name}' is deeper")
            path = self._find(name)
            if path is None and not getattr(node, "ignore_missing", False):
                raise IclError(f"{where}: '{name}' is not a file in the template's own directory")
            if path is not None and name not in self.files:
                self._add(name, path, (*chain, name))

    def _add(self, name: str, path: Path, chain: tuple[str, ...]) -> None:
        source = Source(read_file(path), str(path))
        if source.text.startswith("---\n"):
            raise IclError(f"{path}:1: an included file has no front matter; only the template itself has")
        tree = source.parsed()
        for block in tree.find_all(nodes.Block):
            raise IclError(f"{path}:{block.lineno}: an included file has no blocks, but this has '{block.name}'")
        self.files[name] = source.text
        self.read([tree], source, chain)
        with source.mistakes():
            self.names[name] = names_used(tree, self.names)

    def _find(self, name: str) -> Path | None:
        """The file of that name, if it lies in the directory: not above it, and no link that leads out of it."""
        relative = PurePosixPath(name)
        if self.directory is None or relative.is_absolute() or ".." in relative.parts or "\\" in name or "\0" in name:
            return None
        try:
            path = self.directory / relative
            inside = path.resolve().is_relative_to(self.directory.resolve())
            return path if inside and path.is_file() else None
        except (OSError, RuntimeError):  # a name that no file can have, links in a circle
            return None


def closure_sha256(source: str, files: Mapping[str, str]) -> str:
    """sha256 of a template's own text; with inclusions, of the digests and names of all files."""
    own = _sha256(source)
    if not files:
        return own
    lines = [own, *(f"{_sha256(files[name])} {name}" for name in sorted(files))]
    return _sha256("\n".join(lines))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
