"""Every page, in both themes, on a desk and on a phone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.journeys.conftest import Exchange

pytestmark = pytest.mark.browser

SIZES = {"desk": (1440, 900), "phone": (360, 740)}
PATHS = [
    *("/", "/signin", "/markets/btccny", "/markets/nobody"),
    *("/signup", "/signup/sent", "/forgot", "/forgot/sent", "/dev/mail"),
]

# What can be pressed or filled in and is too small, or has no name.
_POOR_CONTROLS = """() => [...document.querySelectorAll('a, button, input')]
  .filter((control) => control.checkVisibility() && control.type !== 'radio')
  .filter((control) => {
    const box = (control.closest('.box') ?? control).getBoundingClientRect();
    const isInText = control.matches('p a');
    const name = control.ariaLabel || control.textContent.trim()
      || control.labels?.[0]?.textContent;
    const isSmall = box.width > 1 && Math.min(box.width, box.height) < 24;
    return !name || (isSmall && !isInText);
  })
  .map((control) => control.outerHTML.slice(0, 120))"""

# Texts whose colour is too close to what they stand on (WCAG 1.4.3).
_POOR_CONTRAST = """() => {
  const channels = (colour) => (colour.match(/[\\d.]+/g) ?? []).map(Number);
  const light = (rgb) => {
    const [r, g, b] = rgb.map((c) => c / 255)
      .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      const [r, g, b, a = 1] = channels(colour);
      if (colour.startsWith('rgb') && a === 1) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const texts = [...document.body.querySelectorAll('*')].filter(
    (element) => element.checkVisibility()
      && !element.closest(':disabled, .unseen, .skip, #candles, .credit')
      && [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim()));
  return texts.filter((element) => {
    const [one, other] = [channels(getComputedStyle(element).color).slice(0, 3),
      ground(element)].map(light);
    return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05) < 4.5;
  }).map((element) => element.outerHTML.slice(0, 120));
}"""


@pytest.mark.promise("S-54", "U-45", "U-49", "U-50")
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_it_opens_every_page_without_a_complaint(
    browser: Browser, exchange: Exchange, theme: str, size: str
) -> None:
    width, height = SIZES[size]
    context = browser.new_context(
        base_url=exchange.url,
        color_scheme="dark" if theme == "dark" else "light",
        viewport={"width": width, "height": height},
    )
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda message: (
            complaints.append(message.text)
            if message.type in {"error", "warning"} and "404" not in message.text
            else None
        ),
    )

    for path in PATHS:
        page.goto(path)
        if page.locator("#connection").count():
            expect(page.locator("#connection")).to_have_text("Live")

        assert complaints == [], path
        assert page.evaluate("document.documentElement.dataset.theme") == theme
        overflow = "document.documentElement.scrollWidth - innerWidth"
        assert page.evaluate(overflow) <= 0, path
        assert page.evaluate(_POOR_CONTROLS) == [], path
        assert page.evaluate(_POOR_CONTRAST) == [], path
    context.close()


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
