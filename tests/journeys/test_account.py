"""Every page of an account, in both languages and themes, on a desk and on a phone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.conftest import PASSWORD, Exchange
from tests.journeys.watched import LANGUAGES, SIZES, THEMES, Watched

pytestmark = pytest.mark.browser


def sign_in(page: Page, email: str) -> None:
    """Sign in by the form, whatever language it is in, and come to the account."""
    page.goto("/signin?next=/account")
    page.locator("[name=email]").fill(email)
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("main button[type=submit]").click()
    expect(page.locator(".sections [aria-current=page]")).to_be_visible()


@pytest.mark.promise("S-54", "U-49", "U-50", "U-78", "U-87")
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("theme", THEMES)
def test_it_opens_every_section_without_a_complaint(
    watched: Callable[..., Watched],
    exchange: Exchange,
    theme: str,
    size: str,
    language: str,
) -> None:
    somebody = watched(theme=theme, size=size, language=language)
    page = somebody.page
    sign_in(page, exchange.somebody())
    somebody.find_nothing_wrong()

    links = page.locator(".sections a").evaluate_all("all => all.map((a) => a.href)")
    assert links
    for link in links:
        page.goto(link)
        expect(page.locator("main h1")).to_be_visible()
        somebody.find_nothing_wrong()


@pytest.mark.promise("U-87")
@pytest.mark.parametrize("has_scripts", [True, False])
def test_it_changes_the_language_in_place(
    opened: Callable[..., Page], exchange: Exchange, has_scripts: bool
) -> None:
    page = opened("/", java_script_enabled=has_scripts)
    sign_in(page, exchange.somebody())

    page.get_by_role("button", name="简体中文").click()

    expect(page.locator("html")).to_have_attribute("lang", "zh-Hans")
    expect(page.get_by_role("heading", name="账户")).to_be_visible()
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("heading", name="Account")).to_be_visible()


@pytest.mark.promise("U-78")
def test_it_leads_through_the_first_steps(
    opened: Callable[..., Page], exchange: Exchange
) -> None:
    page = opened("/")
    sign_in(page, exchange.somebody())
    steps = page.get_by_role("region", name="First steps").get_by_role("listitem")

    expect(steps).to_have_count(5)
    # The members of the journeys have money and an address that is known.
    expect(steps.filter(has_text="Make a deposit")).to_contain_text("Done")
    expect(page.locator("[aria-current=step]")).to_have_count(1)
    page.locator("[aria-current=step]").get_by_role("link").click()
    expect(page.locator("main h1")).to_be_visible()
