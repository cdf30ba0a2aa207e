"""The page of a preview in a real Chromium: the exact text, nothing on the console, nothing asked for, and it fits a phone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_report_browser import browser

from icl.preview import Segment, make_preview
from icl.report.preview import write_page
from icl.vocabulary import make_reader
from prompts import load_template
from tasks.load import load_task

pytestmark = pytest.mark.browser
__all__ = ["browser"]


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1100, "light")])
def test_the_page_shows_the_exact_text(browser: Any, own_task: Path, tiny_tokenizer: Any, tmp_path: Path, width: int, scheme: str) -> None:
    view = make_preview(load_template("sentiment-instruct"), load_task(own_task), shots=2, reader=make_reader(tiny_tokenizer, "tiny", 512))
    hostile = Segment("instruction", "\n  <script>alert(1)</script> <b>&amp;\n")
    view = replace(view, segments=(hostile, *view.segments))
    path = tmp_path / "page.html"
    write_page(view, path, with_tokens=True)
    page = browser.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
    complaints: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("dialog", lambda dialog: (complaints.append("dialog"), dialog.dismiss()))
    page.on("request", lambda request: requests.append(request.url))
    try:
        page.goto(path.as_uri())
        assert page.text_content("pre.text") == view.text
        assert page.text_content("pre.text mark") == view.segments[-1].text
        assert page.locator(".token").count() == len(view.tokens)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert complaints == []
        assert requests == [path.as_uri()]
    finally:
        page.close()
