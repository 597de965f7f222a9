"""Somebody joins, confirms, forgets, is in doubt, and freezes: in a real browser."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.conftest import Exchange

pytestmark = pytest.mark.browser

FIRST, SECOND = "violet umbrella on the roof", "seven quiet lamps in fog"
_MAIL_SECONDS_MAX = 30
_UNHURRIED_MS = 3000  # sooner, and the form takes us for a machine


def press(page: Page, name: str) -> None:
    page.get_by_role("main").get_by_role("button", name=name, exact=True).click()


def sign_in(page: Page, email: str, password: str) -> None:
    page.goto("/signin?next=/account")
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password").fill(password)
    press(page, "Sign in")


def follow(page: Page, email: str, subject: str, label: str) -> None:
    """Press a button of the newest mail to somebody, seconds on its way."""
    row = page.get_by_role("row", name=re.compile(f"{re.escape(email)}.*{subject}"))
    deadline = time.monotonic() + _MAIL_SECONDS_MAX
    page.goto("/dev/mail")
    while not row.count() and time.monotonic() < deadline:
        page.reload()
    row.first.get_by_role("link").click()
    page.frame_locator("iframe").get_by_role("link", name=label).click()
    # The HTML of the mail led the whole page out of its frame.
    expect(page.get_by_role("link", name="All mails")).to_have_count(0)


@pytest.mark.promise("U-86")
@pytest.mark.parametrize("width", [1440, 360])
def test_it_goes_from_joining_to_freezing(
    exchange: Exchange, opened: Callable[..., Page], width: int
) -> None:
    email = f"journey{width}@example.com"
    page = opened("/signin", width=width)

    page.get_by_role("main").get_by_role("link", name="Join").click()
    page.get_by_label("E-mail address").fill(email)
    password = page.get_by_label("Password")
    password.fill(FIRST)
    press(page, "Show")
    expect(password).to_have_attribute("type", "text")
    while page.evaluate("performance.now()") < _UNHURRIED_MS:
        expect(password).to_have_value(FIRST)
    press(page, "Join")
    expect(page.get_by_role("heading", name="Look into your mail")).to_be_visible()

    sign_in(page, email, FIRST)
    expect(page.get_by_text("Please confirm your address")).to_be_visible()
    follow(page, email, "Confirm", "Confirm my address")
    press(page, "Yes, confirm")
    expect(page.get_by_text("Your e-mail address is confirmed.")).to_be_visible()
    expect(page.get_by_text("Please confirm your address")).to_have_count(0)

    page.get_by_role("button", name="Sign out").click()
    page.goto("/signin")
    page.get_by_role("link", name="Forgot password?").click()
    page.get_by_label("E-mail address").fill(email)
    press(page, "Send the link")
    follow(page, email, "Choose a new password", "Choose a new password")
    page.get_by_label("New password").fill(SECOND)
    press(page, "Change my password")
    expect(page.get_by_text("Your password is changed.")).to_be_visible()

    follow(page, email, "Your password was changed", "Freeze my account")
    press(page, "Freeze my account")
    expect(page.get_by_role("heading", name="Your account is frozen")).to_be_visible()
    sign_in(page, email, SECOND)
    expect(page.get_by_text("Your account is frozen: you can look")).to_be_visible()


def test_it_works_without_scripts(opened: Callable[..., Page]) -> None:
    page = opened("/signup", java_script_enabled=False)

    page.get_by_label("E-mail address").fill("noscript@example.com")
    page.get_by_label("Password").fill(FIRST)
    press(page, "Join")

    expect(page.get_by_text("That was very quick.")).to_be_visible()
    expect(page.get_by_role("button", name="Show")).to_have_count(0)
