"""The side-by-side page in a real Chromium: it draws its charts, asks the network for nothing, and says nothing on the console."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from arena import review_task

import compare.prepare
from compare import ComparisonRun, ComparisonSpec
from compare.run import compare as run_comparison

pytestmark = pytest.mark.browser


@pytest.fixture
def chromium() -> str:
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if path is None:
        message = "no Chromium: install the Debian package chromium, or name one in CHROMIUM"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny_model_dir: Path) -> ComparisonRun:
    place = tmp_path_factory.mktemp("compare")
    tasks = {"films": review_task(place, "films", related=["books"]), "books": review_task(place, "books")}
    spec = ComparisonSpec(
        "films",
        ("in-context", "linear-probe", "protonet", "maml"),
        k_shot=(1, 2),
        episodes=3,
        queries=8,
        model=str(tiny_model_dir),
        dtype="float32",
        device="cpu",
        meta_steps=2,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compare.prepare, "load_task", lambda name, data_dir=None: tasks[name])
        return run_comparison(spec, out=place / "runs")


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1000, "light")])
def test_the_page_opens_whole(chromium: str, run: ComparisonRun, width: int, scheme: Any) -> None:
    from playwright.sync_api import sync_playwright

    complaints: list[str] = []
    requests: list[str] = []
    address = (run.dir / "report.html").as_uri()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(address)
        page.wait_for_selector(f"html[data-charts={scheme}]")
        drawn = page.locator(".chart svg").count()
        overflow = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        cut = page.locator(".scroll:visible").evaluate_all(
            "(of) => of.filter((e) => e.scrollWidth > e.clientWidth).map((e) => e.ariaLabel)"
        )
        text = page.inner_text("main")
        browser.close()
    assert complaints == []
    assert [url for url in requests if url != address and not url.startswith("data:")] == []
    charts = {
        "accuracy and difference": 4,
        "against K": 1,
        "against cost": 1,
        "break-even": 4,
        "agreement": 2,
        "reliability": 4,
        "window": 1,
        "steps": 2,
        "by step": 1,
        "inner loop": 2,
        "overlap": 2,
        "damage": 1,
        "course of meta-training": len([row for row in run.read("summary")["rows"] if row["course"] and row["k_shot"] == 2]),
    }
    assert charts["course of meta-training"] >= 1
    assert drawn == sum(charts.values())
    assert overflow <= 0
    assert cut == [] or width == 390, "no table is cut off on a desk"
    assert "What you may conclude." in text
    assert "icl compare films" in text
    written = (run.dir / "report.md").read_text(encoding="utf-8")
    assert all(
        f"## {title}" in written
        for title in (
            "Results",
            "While they were meta-trained",
            "Labels permuted",
            "In and out of distribution",
            "Break-even",
            "Accuracy by gradient step",
            "Calibration",
            "Damaged demonstrations",
            "Search",
            "Failures",
            "Made with",
        )
    )
