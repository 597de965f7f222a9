"""What members see of their sessions and choose for themselves, in a real browser."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.conftest import PASSWORD, Exchange

pytestmark = pytest.mark.browser

TOGGLE = "Switch between light and dark"


@pytest.fixture
def inside(opened: Callable[..., Page]) -> Callable[..., Page]:
    """Sign a member in, and have a page of the account open."""

    def sign_in(email: str, path: str, **options: object) -> Page:
        page = opened(f"/signin?next={path}", **options)
        page.get_by_label("E-mail address").fill(email)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("main").get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("button", name="Sign out").first).to_be_visible()
        return page

    return sign_in


@pytest.mark.promise("U-40")
def test_a_members_colours_go_with_the_member(
    inside: Callable[..., Page], exchange: Exchange
) -> None:
    somebody = exchange.somebody()
    page = inside(somebody, "/account/profile", color_scheme="light")
    with page.expect_response("**/account/theme") as kept:
        page.get_by_role("button", name=TOGGLE).click()
    assert kept.value.status == 204

    # Another device, whose own wish is light, and where no script could change it.
    elsewhere = inside(somebody, "/", color_scheme="light", java_script_enabled=False)
    expect(elsewhere.locator("html")).to_have_attribute("data-theme", "dark")

    page.get_by_role("link", name="Profile").click()
    expect(page.get_by_label("Colours")).to_have_value("dark")
    page.get_by_label("Colours").select_option("Light")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "light")


@pytest.mark.promise("S-13")
def test_the_browser_keeps_no_secret_for_scripts(
    inside: Callable[..., Page], exchange: Exchange
) -> None:
    page = inside(exchange.somebody(), "/markets/btccny")
    expect(page.locator("#connection")).to_have_text("Live")
    page.goto("/account/sessions")

    kept = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    seen = page.evaluate("document.cookie")
    cookies = {each["name"]: each for each in page.context.cookies()}

    for name in ("session", "device"):
        assert cookies[name]["httpOnly"]
        assert cookies[name]["value"] not in kept + seen
    local, of_tab = json.loads(kept)
    assert set(local) | set(of_tab) <= {"theme", "chart-period"}


@pytest.mark.promise("S-17", "S-21", "U-76")
def test_it_shows_two_devices_and_forgets_the_one_signed_out(
    inside: Callable[..., Page], exchange: Exchange
) -> None:
    somebody = exchange.somebody()
    phone = inside(somebody, "/account/sessions", width=360, height=740)
    desk = inside(somebody, "/account/sessions", java_script_enabled=False)
    rows = desk.locator(".sessions > li")
    expect(rows).to_have_count(2)
    expect(rows.filter(has_text="this one")).to_have_count(1)

    phone.get_by_role("main").get_by_role("button", name="Sign out").click()
    phone.wait_for_url("**/")
    phone.go_back()

    expect(phone.get_by_role("heading", name="Sign in")).to_be_visible()
    desk.reload()
    expect(rows).to_have_count(1)
