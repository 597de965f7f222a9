"""People set their factors up and sign in with them, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Page, expect

from tests.journeys import watched
from tests.journeys.conftest import PASSWORD, Exchange
from tests.journeys.watched import SIZES
from tests.makers import code_of

pytestmark = pytest.mark.browser

Open = Callable[..., Page]

# A device that asks for a finger; the finger is always right.
_DEVICE = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


def sign_in(page: Page, email: str) -> None:
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Sign in").click()


def look_at(page: Page) -> None:
    """See that a page is fine on a desk and on a phone, by day and by night."""
    for width, height in SIZES.values():
        page.set_viewport_size({"width": width, "height": height})
        watched.look_at(page)


def set_up_app(page: Page) -> None:
    """Go from the security page through the password to an app."""
    page.get_by_role("link", name="Add an authenticator app").click()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Continue").click()
    look_at(page)
    secret = page.locator(".secret").inner_text().replace(" ", "")
    page.get_by_label("Code").fill(code_of(secret, datetime.now(UTC)))
    page.get_by_role("button", name="Turn on").click()
    expect(page.get_by_role("heading", name="Your recovery codes")).to_be_visible()
    look_at(page)
    page.get_by_role("link", name="I have kept them").click()


@pytest.mark.promise("S-26", "U-76", "U-49", "U-50")
def test_a_member_sets_up_an_app_and_a_passkey_and_signs_in(
    exchange: Exchange, opened: Open
) -> None:
    email = exchange.somebody()
    page = opened("/signin?next=/account/security")
    device = page.context.new_cdp_session(page)
    device.send("WebAuthn.enable")
    device.send("WebAuthn.addVirtualAuthenticator", {"options": _DEVICE})
    sign_in(page, email)
    expect(page.get_by_text("Protection: 1 of 6")).to_be_visible()
    look_at(page)

    set_up_app(page)
    page.get_by_role("link", name="Add a passkey").click()
    page.get_by_label("Name").fill("Laptop")
    look_at(page)
    page.get_by_role("button", name="Make a passkey").click()
    expect(page.get_by_text("Laptop")).to_be_visible()
    expect(page.get_by_text("10 codes left.")).to_be_visible()
    look_at(page)

    page.get_by_role("button", name="Sign out").click()
    page.goto("/signin?next=/account/security")
    sign_in(page, email)
    expect(page.get_by_role("heading", name="One more step")).to_be_visible()
    look_at(page)
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_text("last used")).to_be_visible()

    page.get_by_role("link", name="Remove Laptop").click()
    page.get_by_role("button", name="Use a passkey").click()
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("Removed.")).to_be_visible()
    expect(page.get_by_text("Laptop")).to_be_hidden()


@pytest.mark.promise("U-47")
def test_it_works_without_scripts(exchange: Exchange, opened: Open) -> None:
    """An app, a code on paper, the report of a loss: none of it needs JavaScript."""
    email = exchange.somebody()
    page = opened("/signin?next=/account/security", java_script_enabled=False)
    sign_in(page, email)
    page.get_by_role("link", name="Add an authenticator app").click()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Continue").click()
    secret = page.locator(".secret").inner_text().replace(" ", "")
    page.get_by_label("Code").fill(code_of(secret, datetime.now(UTC)))
    page.get_by_role("button", name="Turn on").click()
    codes = page.locator("#codes code").all_inner_texts()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.path().read_text().split() == codes

    page.get_by_role("button", name="Sign out").click()
    page.goto("/signin")
    sign_in(page, email)
    page.get_by_role("link", name="I have lost all of them").click()
    page.get_by_label("What has happened?").fill("The sea took my phone.")
    page.get_by_role("button", name="Report the loss").click()
    expect(page.get_by_text("We have your report")).to_be_visible()
    page.get_by_role("link", name="Back").click()
    page.get_by_role("link", name="Use a recovery code instead").click()
    page.get_by_label("Recovery code").fill(codes[0])
    page.get_by_role("button", name="Continue").click()
    page.goto("/account/security")
    # A factor was shown, so they are not lost.
    expect(
        page.get_by_role("heading", name="Second factors", exact=True)
    ).to_be_visible()
    expect(page.get_by_role("button", name="Keep my factors")).to_have_count(0)


def test_it_says_where_passkeys_work(exchange: Exchange, opened: Open) -> None:
    elsewhere = exchange.url.replace("localhost", "127.0.0.1")
    page = opened(f"{elsewhere}/signin?next=/account/security")
    sign_in(page, exchange.somebody())
    page.get_by_role("link", name="Add a passkey").click()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Continue").click()

    page.get_by_label("Name").fill("Laptop")
    page.get_by_role("button", name="Make a passkey").click()

    expect(page.get_by_role("alert").filter(has_text=exchange.url)).to_be_visible()
