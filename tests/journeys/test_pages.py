"""Every page, in both themes, on a desk and on a phone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.watched import LANGUAGES, SIZES, THEMES, Watched

pytestmark = pytest.mark.browser

PATHS = [
    *("/", "/signin", "/markets/btccny", "/markets/nobody"),
    *("/signup", "/signup/sent", "/forgot", "/forgot/sent", "/dev/mail"),
]


@pytest.mark.promise("S-54", "U-45", "U-49", "U-50", "U-87")
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("theme", THEMES)
def test_it_opens_every_page_without_a_complaint(
    watched: Callable[..., Watched], theme: str, size: str, language: str
) -> None:
    somebody = watched(theme=theme, size=size, language=language)

    for path in PATHS:
        somebody.page.goto(path)
        if somebody.page.locator("#connection").count():
            expect(somebody.page.locator("#connection")).to_have_attribute(
                "data-state", "live"
            )
        somebody.find_nothing_wrong()


@pytest.mark.promise("U-40")
def test_it_remembers_the_theme_that_was_chosen(opened: Callable[..., Page]) -> None:
    page = opened("/", color_scheme="light")
    root = page.locator("html")

    page.get_by_role("button", name="Switch between light and dark").click()
    expect(root).to_have_attribute("data-theme", "dark")
    page.goto("/markets/btccny")
    expect(root).to_have_attribute("data-theme", "dark")

    page.get_by_role("button", name="Switch between light and dark").click()
    page.emulate_media(color_scheme="dark")
    # Light was the system's own choice, so the page follows the system again.
    expect(root).to_have_attribute("data-theme", "dark")


@pytest.mark.promise("U-45")
def test_it_shows_one_panel_at_a_time_on_a_phone(opened: Callable[..., Page]) -> None:
    page = opened("/markets/btccny", width=360, height=740)
    panels = {name: page.locator(f"#{name}") for name in ("chart", "book", "trade")}

    for shown in panels:
        page.locator(f"[data-tab={shown}]").click()

        assert {name for name, panel in panels.items() if panel.is_visible()} == {shown}


@pytest.mark.promise("U-47")
def test_it_reads_without_scripts(opened: Callable[..., Page]) -> None:
    page = opened("/markets/btccny", java_script_enabled=False)

    for heading in ("Order book", "Recent trades", "My open orders"):
        expect(page.get_by_role("heading", name=heading)).to_be_visible()
    expect(page.get_by_text("Placing orders needs JavaScript.")).to_be_visible()
    expect(page.get_by_role("link", name="Sign in to trade")).to_be_visible()


def test_it_credits_the_charts_makers(opened: Callable[..., Page]) -> None:
    page = opened("/markets/btccny")

    credit = page.get_by_role("link", name="Charts by TradingView")

    expect(credit).to_have_attribute("href", "https://www.tradingview.com/")
    expect(credit).to_be_visible()
