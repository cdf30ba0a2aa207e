"""Where the rows of a task come from: one file per kind of source."""

from tasks.sources.files import Files
from tasks.sources.generator import Generator
from tasks.sources.hub import Hub
from tasks.sources.package import PackageFile
from tasks.sources.types import Source

SOURCES: dict[str, Source] = {"hub": Hub(), "files": Files(), "package": PackageFile(), "generator": Generator()}

__all__ = ["SOURCES", "Source"]
