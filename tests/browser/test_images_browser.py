"""The report of a comparison on images in a real Chromium: it draws, asks the network for nothing, says what one may conclude, fits a phone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from image_arena import install
from test_report_browser import Opened, browser  # noqa: F401 - a fixture

from compare.images.run import compare_images
from compare.images.spec import ImageSpec

pytestmark = pytest.mark.browser
SPEC = ImageSpec(
    "blobs", ("protonet", "maml"), n_way=3, episodes=30, queries=4, filters=4, meta_steps=4, meta_batch=2, meta_test=("blobs:b",)
)


def test_the_report_of_images_opens_whole(browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    install(monkeypatch)
    report = compare_images(SPEC, out=tmp_path).dir / "report.html"
    for width, scheme in ((390, "dark"), (1280, "light")):
        opened = Opened(browser, report, width, scheme)
        page = opened.page
        try:
            assert opened.complaints == []
            assert opened.requests == [report.as_uri()]
            charts = page.locator(".chart")
            assert charts.count() == 4, "accuracy on two sources, a curve per learner"
            for chart in charts.all():
                box = chart.locator("svg").bounding_box()
                assert box is not None
                assert box["width"] > 200
            text = page.locator("header").inner_text()
            assert "What one may conclude." in text
            assert "1-shot on new classes of blobs:a: maml" in text
            assert "Each learner was trained once" in text
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        finally:
            page.close()
