"""The report of a tuning in a real Chromium: it draws, asks the network for nothing, complains of nothing, and fits a phone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from test_report_browser import Opened, browser  # noqa: F401 - a fixture

from compare.tune.run import tune
from compare.tune.types import TuneSpec

pytestmark = pytest.mark.browser
SPACES = {
    "in-context": {"shots": [0, 2, 4], "calibration": ["none", "batch"], "selector": ["random", "bm25"]},
    "linear-probe": {"C": {"from": 0.01, "to": 10.0, "log": True}},
}


def test_a_tunings_report_opens_whole(browser: Any, own_task: Path, tiny_model_dir: Path, tmp_path: Path) -> None:  # noqa: F811
    text = own_task.read_text(encoding="utf-8").replace("  test: {from: all, part: 50-100}\n", "")
    splits = "  validation: {from: all, part: 50-75}\n  test: {from: all, part: 75-100}\n"
    own_task.write_text(text.replace("part: 0-50}\n", "part: 0-50}\n" + splits), encoding="utf-8")
    tuning = tune(
        TuneSpec(
            str(own_task), tuple(SPACES), str(tiny_model_dir), k_shot=2, trials=6, episodes=3, queries=8, test_episodes=3, test_queries=8,
            dtype="float32", device="cpu", spaces=SPACES,
        ),
        out=tmp_path / "runs",
    )  # fmt: skip
    for width, scheme in ((390, "dark"), (1280, "light")):
        opened = Opened(browser, tuning.dir / "report.html", width, scheme)
        page = opened.page
        try:
            assert opened.complaints == []
            assert opened.requests == [(tuning.dir / "report.html").as_uri()]
            charts = page.locator(".chart")
            assert charts.count() >= 4, "the test, the front, a history per method"
            for chart in charts.all():
                box = chart.locator("svg").bounding_box()
                assert box is not None
                assert box["width"] > 200
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        finally:
            page.close()
