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


@pytest.fixture
def run(tmp_path: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> ComparisonRun:
    tasks = {"films": review_task(tmp_path, "films", related=["books"]), "books": review_task(tmp_path, "books")}
    monkeypatch.setattr(compare.prepare, "load_task", lambda name, data_dir=None: tasks[name])
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
    return run_comparison(spec, out=tmp_path / "runs")


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
        cut = page.locator(".scroll:visible").evaluate_all("(of) => of.filter((e) => e.scrollWidth > e.clientWidth).length")
        text = page.inner_text("main")
        browser.close()
    assert complaints == []
    assert [url for url in requests if url != address and not url.startswith("data:")] == []
    assert drawn == 4, "accuracy and difference, for two K"
    assert overflow <= 0
    assert cut == 0 or width == 390, "no table is cut off on a desk"
    assert "What you may conclude." in text
    assert "icl compare films" in text
