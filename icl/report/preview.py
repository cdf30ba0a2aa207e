"""The page of a preview: the same view that the terminal prints, self-contained, without any script."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from icl.preview import Preview
from icl.report.embed import render
from icl.runs.files import writing


@dataclass(frozen=True)
class Page:
    """Everything that the template prints."""

    of: Preview
    with_tokens: bool


def write_page(view: Preview, path: Path, with_tokens: bool = False) -> None:
    """Writes the page; a file of that name is replaced."""
    text = render("preview.html.jinja", {}, Page(view, with_tokens))
    with writing(path, "choose another --html"):
        path.write_text(text, encoding="utf-8", newline="\n")
