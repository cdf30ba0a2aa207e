"""The report of a sweep in a real Chromium: it draws, asks the network for nothing, complains of nothing, and fits a phone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from test_report_browser import Opened, browser  # noqa: F401 - a fixture

from icl.sweep.file import read_sweep
from icl.sweep.run import sweep

pytestmark = pytest.mark.browser


def test_a_sweeps_report_opens_whole(browser: Any, own_task: Path, tiny_model_dir: Path, tmp_path: Path) -> None:  # noqa: F811
    file = tmp_path / "s.yaml"
    file.write_text(
        f"task: {own_task}\nmodel: {tiny_model_dir}\nepisodes: 2\nqueries: 6\ndtype: float32\ndevice: cpu\n"
        "grid: {shots: [0, 1, 40], selector: [random, bm25], calibration: [none, batch]}\n",
        encoding="utf-8",
    )
    results, _ = sweep(read_sweep(file), out=tmp_path / "runs")
    for width, scheme in ((390, "dark"), (1280, "light")):
        opened = Opened(browser, results.dir / "report.html", width, scheme)
        page = opened.page
        try:
            assert opened.complaints == []
            assert opened.requests == [(results.dir / "report.html").as_uri()]
            charts = page.locator(".chart")
            assert charts.count() == 2 + 3, "curves by selector and calibration; three pairs of fields"
            for chart in charts.all():
                box = chart.locator("svg").bounding_box()
                assert box is not None
                assert box["width"] > 200
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.get_by_text("chosen on the test split").count() == 1
        finally:
            page.close()
