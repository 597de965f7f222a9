"""
Somebody new: joins, confirms, sets up both factors, hands in papers, and has a first
key work; on a desk and on a phone, in each language. Nothing here reads a word.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import FilePayload, Page, expect

from tests import uploads
from tests.journeys.conftest import Exchange
from tests.journeys.test_keys import status_of
from tests.journeys.watched import LANGUAGES, SIZES, Watched
from tests.makers import code_of

pytestmark = pytest.mark.browser

PASSWORD = "violet umbrella on the roof"
SCAN = FilePayload(
    name="scan.jpeg", mimeType="image/jpeg", buffer=uploads.picture("JPEG")
)
_SECONDS_MAX = 30
_UNHURRIED_MS = 3000  # sooner, and the form takes us for a machine
# A mobile number of its own for each: few codes go to one.
_NUMBERS = {
    (size, language): f"0151123456{number}"
    for number, (size, language) in enumerate(
        ((size, language) for size in SIZES for language in LANGUAGES), start=70
    )
}


def submit(page: Page, field: str) -> None:
    """Send the form that has this field."""
    form = page.locator("main form", has=page.locator(field))
    form.locator("button.primary[type=submit]").click()


def join(page: Page, email: str) -> None:
    page.goto("/signup")
    page.locator("[name=email]").fill(email)
    page.locator("[name=password]").fill(PASSWORD)
    while page.evaluate("performance.now()") < _UNHURRIED_MS:
        expect(page.locator("[name=password]")).to_have_value(PASSWORD)
    submit(page, "[name=password]")
    page.wait_for_url("**/signup/sent")


def confirm(page: Page, email: str) -> None:
    """Follow the link of the mail, which is seconds on its way."""
    row = page.locator("tr", has_text=email)
    deadline = time.monotonic() + _SECONDS_MAX
    page.goto("/dev/mail")
    while not row.count() and time.monotonic() < deadline:
        page.reload()
    row.first.get_by_role("link").click()
    page.frame_locator("iframe").locator("a").first.click()
    page.wait_for_url("**/activate/**")
    page.locator("main form .primary").click()
    expect(page.locator(".said, .toast.good")).to_be_visible()


def sign_in(page: Page, email: str) -> None:
    page.goto("/signin?next=/account/security")
    page.locator("[name=email]").fill(email)
    page.locator("[name=password]").fill(PASSWORD)
    submit(page, "[name=password]")
    page.wait_for_url("**/account/security")


def set_up_app(page: Page) -> None:
    """Prove by password, scan, type the code, keep the recovery codes."""
    page.locator('a[href="/account/security/totp"]').click()
    page.locator("[name=code]").fill(PASSWORD)
    submit(page, "[name=code]")
    secret = page.locator(".secret").inner_text().replace(" ", "")
    page.locator("[name=code]").fill(code_of(secret, datetime.now(UTC)))
    submit(page, "[name=code]")
    page.locator("main a.primary").click()


def set_up_phone(page: Page, exchange: Exchange, number: str) -> None:
    """Type the code that comes by SMS; the app was proof enough."""
    page.locator('a[href="/account/security/phone"]').click()
    page.locator("[name=country]").select_option("DE")
    page.locator("[name=number]").fill(number)
    submit(page, "[name=number]")
    page.locator("[name=code]").fill(sms_to(exchange, f"+49{number[1:]}"))
    submit(page, "[name=code]")
    expect(page.locator(".factors .tag")).to_have_count(2)


def sms_to(exchange: Exchange, number: str) -> str:
    """Return the code that was sent to a phone: the jobs print it."""
    log = Path(exchange.environment["PIXIU_DATA"]) / "logs" / "jobs.log"
    deadline = time.monotonic() + _SECONDS_MAX
    while time.monotonic() < deadline:
        if found := re.findall(
            rf"SMS to {re.escape(number)} .*?\b(\d{{6}})\b", log.read_text()
        ):
            return str(found[-1])
    raise AssertionError(f"nothing came to {number}")


def hand_in_papers(page: Page) -> None:
    page.goto("/account/identity/data")
    for name, text in (
        ("full_name", "Chidi Okonkwo"),
        ("birth_on", "1990-05-17"),
        ("address_1", "1 Harbour Road"),
        ("city", "Lagos"),
        ("postal_code", "101001"),
    ):
        page.locator(f"#id_{name}").fill(text)
    for name in ("nationality", "country"):
        page.locator(f"#id_{name}").select_option("NG")
    submit(page, "#id_full_name")
    page.locator("#id_kind").select_option("passport")
    page.locator("#id_number").fill("A01234567")
    page.locator("#id_expires_on").fill("2040-01-31")
    page.locator("main input[type=file]").first.set_input_files(SCAN)
    submit(page, "#id_number")
    page.locator("main input[type=file]").first.set_input_files(SCAN)
    submit(page, "input[type=file]")
    page.locator('form[action="/account/identity/send"] button').click()
    expect(page.locator('form[action="/account/identity/send"]')).to_have_count(0)


def create_key(page: Page) -> tuple[str, str]:
    """Create a key with what is proposed; return its two halves, shown this once."""
    page.goto("/account/keys/new")
    page.locator("[name=label]").fill("bot")
    submit(page, "[name=label]")
    halves = [page.locator(half) for half in ("#access-key", "#secret-key")]
    return halves[0].inner_text(), halves[1].inner_text()


@pytest.mark.promise("U-45", "U-49", "U-50", "U-78", "U-87")
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("size", "theme"), [("desk", "light"), ("phone", "dark")])
def test_somebody_new_comes_as_far_as_a_first_key(
    exchange: Exchange,
    watched: Callable[..., Watched],
    size: str,
    theme: str,
    language: str,
) -> None:
    somebody = watched(theme=theme, size=size, language=language)
    page, email = somebody.page, f"new-{size}-{language.lower()}@example.com"

    join(page, email)
    somebody.find_nothing_wrong()
    confirm(page, email)
    sign_in(page, email)
    somebody.find_nothing_wrong()
    set_up_app(page)
    set_up_phone(page, exchange, _NUMBERS[size, language])
    somebody.find_nothing_wrong()
    hand_in_papers(page)
    somebody.find_nothing_wrong()
    access_key, secret_key = create_key(page)
    somebody.find_nothing_wrong()

    assert status_of(exchange, access_key, secret_key) == 200
    page.goto("/account")
    expect(page.locator(".first-steps .done")).to_have_count(2)
    somebody.find_nothing_wrong()
