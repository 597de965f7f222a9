"""The history in a real browser: on a desk and on a phone, by day and by night."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.conftest import PASSWORD, Exchange
from tests.journeys.watched import SIZES, look_at

pytestmark = pytest.mark.browser

_MOVING = """
from accounts.models.members import Member
from tests.makers import fund

member = Member.objects.get(email={email!r})
for number in range(1, 56):
    fund(member, f"{{number}} ltc")
fund(member, "1234567.89 cny")
"""


@pytest.mark.parametrize("size", SIZES)
def test_a_member_reads_narrows_and_saves_the_history(
    opened: Callable[..., Page], exchange: Exchange, size: str
) -> None:
    email, (width, height) = exchange.somebody(), SIZES[size]
    page = opened("/signin?next=/funds/history", width=width, height=height)
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="History")).to_be_visible()
    page.get_by_role("main").get_by_role("link", name="Deposits").click()
    expect(page.get_by_text("Nothing has moved yet.")).to_be_visible()
    look_at(page)

    exchange.run(_MOVING.format(email=email))
    page.goto("/funds/history")
    first = page.locator("tbody tr").first
    expect(first).to_contain_text("1,234,567.89")
    look_at(page)
    page.get_by_role("link", name="Older").click()
    expect(page.locator("tbody tr").last).to_contain_text("Demo money")
    page.get_by_role("link", name="Newest").click()

    page.get_by_label("Currency").select_option("cny")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.locator("tbody tr")).to_have_count(2)
    look_at(page)
    with page.expect_download() as saved:
        page.get_by_role("link", name="Save as CSV").click()
    text = saved.value.path().read_text("utf-8-sig")
    assert "1234567.89" in text.splitlines()[1]

    page.get_by_label("Kind").select_option("deposit")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.get_by_text("Nothing fits.")).to_be_visible()
    look_at(page)

    page.goto("/funds/deposit/ltc")
    page.get_by_role("button", name="Send me practice coins").click()
    expect(page.locator("#deposits-live .tag").first).to_be_visible()
    for name in ("Deposits", "Withdrawals"):
        page.goto("/funds/history")
        page.get_by_role("main").get_by_role("link", name=name).click()
        look_at(page)
