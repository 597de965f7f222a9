"""A transfer in a real browser, from the form to the history."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.conftest import PASSWORD, Exchange
from tests.journeys.test_coins import _SECRET, _SETTING_UP, code
from tests.journeys.watched import SIZES, look_at

pytestmark = pytest.mark.browser


@pytest.mark.promise("U-74")
@pytest.mark.parametrize("size", SIZES)
def test_a_member_pays_another(
    opened: Callable[..., Page], exchange: Exchange, size: str
) -> None:
    email, other, (width, height) = (
        exchange.somebody(),
        exchange.somebody(),
        SIZES[size],
    )
    exchange.run(_SETTING_UP.format(email=email, secret=_SECRET))
    page = opened("/signin?next=/funds/transfer", width=width, height=height)
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    page.get_by_label("Code").fill(code(-1))
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("neither sent nor received")).to_be_visible()
    look_at(page)

    page.get_by_label("To:", exact=True).fill("nowhere")
    page.get_by_label("Currency").select_option("usd")
    page.get_by_label("Amount").fill("12.5")
    page.get_by_label("Note").fill("for lunch")
    page.get_by_role("button", name="Look at the terms").click()
    expect(page.get_by_text("Please give a member number")).to_be_visible()
    look_at(page)
    page.get_by_label("To:", exact=True).fill(other)
    page.get_by_role("button", name="Look at the terms").click()
    expect(page.get_by_text("12.5 USD")).to_be_visible()
    look_at(page)
    page.get_by_label("Code").fill(code(0))
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("It is theirs now")).to_be_visible()
    expect(page.get_by_text("Note: for lunch")).to_be_visible()
    look_at(page)
