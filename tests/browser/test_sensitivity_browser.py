"""The sensitivity report in a real Chromium: it draws, is silent, fits a phone, and on a desk nothing scrolls sideways."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sensitivity_runs import sensitivity_run
from test_report_browser import Opened, browser

from icl.sensitivity.page import write_report

__all__ = ["browser"]
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = sensitivity_run(tmp_path_factory.mktemp("sensitivity") / "run")
    return write_report(directory, "sensitivity-movie-sentiment-0123456789")


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1000, "light"), (1280, "light")])
def test_the_report_opens_whole(browser: Any, report: Path, tmp_path: Path, width: int, scheme: str) -> None:
    opened = Opened(browser, report, width, scheme)
    page = opened.page
    try:
        page.screenshot(path=tmp_path / f"{width}-{scheme}.png", full_page=True)
        assert opened.complaints == []
        assert opened.requests == [report.as_uri()]
        assert page.locator(".lead").inner_text().startswith("Of the variance of accuracy between equally reasonable prompts, ")
        charts = page.locator(".chart")
        assert charts.count() == 6
        for chart in charts.all():
            box = chart.locator("svg").bounding_box()
            assert box is not None
            assert box["x"] + box["width"] <= width
            assert chart.locator("svg path").count() > 2, "marks are drawn"
        wide = page.locator(".scroll:visible").evaluate_all("(of) => of.filter((e) => e.scrollWidth > e.clientWidth).length")
        assert wide == 0 or width == 390, "on a desk every table fits"
        page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    finally:
        page.close()
