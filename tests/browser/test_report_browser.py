"""The report in a real Chromium: it draws, asks the network for nothing, says nothing on the console, and fits a phone."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from report_runs import EVIL, choice_run, generation_run, sentiment_run

from icl.report.page import write_report

pytestmark = pytest.mark.browser

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
RUNS = {
    "sentiment": sentiment_run,
    "attack-as-label": lambda d: sentiment_run(d, labels=("negative", EVIL)),
    "one-episode": lambda d: sentiment_run(d, episodes=1),
    "fourteen-labels": lambda d: sentiment_run(d, labels=tuple(f"a topic number {i}" for i in range(14)), queries=60),
    "forty-labels": lambda d: sentiment_run(d, labels=tuple(f"a_rather_long_intent_name_{i}" for i in range(40)), queries=60),
    "generation": lambda d: generation_run(d, scored=True),
    "choices": choice_run,
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if path is None:
        message = "no Chromium: install the Debian package chromium, or name one in CHROMIUM"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("reports")
    return {name: write_report(root / name, make(root / name)) for name, make in RUNS.items()}


class Opened:
    """A page that notes what it asks for and what it complains about."""

    def __init__(self, browser: Any, path: Path, width: int, scheme: str) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page = browser.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
        self.page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())
        self.page.wait_for_selector(f"html[data-charts={scheme}]")


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1100, "light")])
@pytest.mark.parametrize("name", RUNS)
def test_a_report_opens_whole(browser: Any, reports: dict[str, Path], tmp_path: Path, name: str, width: int, scheme: str) -> None:
    opened = Opened(browser, reports[name], width, scheme)
    page = opened.page
    try:
        page.screenshot(path=tmp_path / f"{name}-{width}-{scheme}.png", full_page=True)
        assert opened.complaints == []
        assert opened.requests == [reports[name].as_uri()]
        charts = page.locator(".chart")
        assert charts.count() >= 2
        for chart in charts.all():
            box = chart.locator("svg").bounding_box()
            assert box is not None
            assert box["width"] > 200
            assert box["height"] > 40
            assert box["x"] + box["width"] <= width
            assert chart.locator("svg path").count() > 2, "marks are drawn"
            for legend in chart.locator("svg .role-legend").all():
                held = legend.bounding_box()
                assert held is not None
                assert held["x"] + held["width"] <= box["x"] + box["width"], "the legend is not cut off"
        page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    finally:
        page.close()


@pytest.mark.parametrize("name", ["sentiment", "choices", "forty-labels"])
def test_a_table_that_is_too_wide_shows_that_it_scrolls(browser: Any, reports: dict[str, Path], name: str) -> None:
    """A shadow at the end where there is more, which paper covers once all is seen; and the keyboard reaches it."""
    for width in (390, 1000, 1280):
        page = Opened(browser, reports[name], width, "light").page
        try:
            regions = page.locator(".scroll")
            for region in regions.all():
                assert region.get_attribute("tabindex") == "0"
                assert region.get_attribute("aria-label")
                assert region.evaluate("(e) => getComputedStyle(e).backgroundAttachment") == "local, local, scroll, scroll"
                assert region.evaluate("(e) => getComputedStyle(e).backgroundImage").count("linear-gradient") == 4
            wide = page.locator(".scroll:visible").evaluate_all("(of) => of.filter((e) => e.scrollWidth > e.clientWidth).length")
            assert wide == 0 or width == 390, "on a desk every table fits"
        finally:
            page.close()


def test_the_command_breaks_between_options_only(browser: Any, reports: dict[str, Path]) -> None:
    for width in (390, 1000):
        page = Opened(browser, reports["sentiment"], width, "light").page
        try:
            parts = page.locator(".command span")
            assert parts.count() > 5
            heights = parts.evaluate_all(
                "(of) => of.filter((e) => e.getBoundingClientRect().width < 200).map((e) => e.getClientRects().length)"
            )
            assert set(heights) == {1}
            text = page.locator(".command").inner_text()
            assert text.strip() == " ".join(text.split()) or width == 390
            assert " ".join(text.split()).startswith("icl evaluate movie-sentiment --model builtin:smollm2-135m --shots 8")
        finally:
            page.close()


def test_an_interval_beyond_what_is_possible_does_not_squeeze_the_chart(browser: Any, tmp_path: Path) -> None:
    page = Opened(browser, write_report(tmp_path, sentiment_run(tmp_path, episodes=2)), 1000, "light").page
    try:
        ticks = [
            float(t.replace("−", "-"))
            for t in page.locator("#episodes-accuracy svg .role-axis-label text").all_text_contents()
            if t[-1].isdigit()
        ]
        assert min(ticks) >= 0
        assert max(ticks) <= 1
    finally:
        page.close()


def test_charts_follow_a_change_of_the_colour_scheme(browser: Any, reports: dict[str, Path]) -> None:
    opened = Opened(browser, reports["sentiment"], 1100, "light")
    page = opened.page
    try:
        label = page.locator(".chart svg .role-axis-label text").first
        light = label.get_attribute("fill")
        page.emulate_media(color_scheme="dark")
        page.wait_for_selector("html[data-charts=dark]")
        dark = label.get_attribute("fill")
        assert light != dark
        assert page.locator(".chart").first.locator("svg").count() == 1, "the old drawing is gone"
        assert opened.complaints == []
    finally:
        page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_the_contrast_of_wcag_aa(browser: Any, reports: dict[str, Path], scheme: str) -> None:
    opened = Opened(browser, reports["sentiment"], 1100, scheme)
    page = opened.page
    try:
        names = ["--paper", "--tint", "--ink", "--soft", "--hit", "--missed", "--mark"]
        read = "(names) => names.map((n) => getComputedStyle(document.documentElement).getPropertyValue(n).trim())"
        colours = dict(zip(names, page.evaluate(read, names), strict=True))
        for text in ("--ink", "--soft", "--hit", "--missed"):
            assert contrast(colours[text], colours["--paper"]) >= 4.5, text
        assert contrast(colours["--ink"], colours["--tint"]) >= 4.5
        assert contrast(colours["--ink"], colours["--mark"]) >= 4.5
        for colour in page.evaluate(read, ["--category"])[0].split():
            assert contrast(colour, colours["--paper"]) >= 3.0, colour
    finally:
        page.close()


def contrast(one: str, other: str) -> float:
    """WCAG 2: (lighter + 0.05) / (darker + 0.05) of the relative luminances of two #rrggbb colours."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
