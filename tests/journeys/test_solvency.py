"""A member checks what we owe them, in a browser that asks nobody while it does."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.conftest import MONEY, PASSWORD, Exchange
from tests.journeys.watched import LANGUAGES, SIZES, Watched

pytestmark = pytest.mark.browser

_PROVE = """
from django.utils import timezone
from wallets.solvency import publish

publish.prove(now=timezone.now())
"""
_LIE = """() => {
  const files = document.getElementById("files");
  const told = JSON.parse(files.textContent);
  for (const each of told.proofs) each.root = each.root.replace('"sum":"', '"sum":"1');
  files.textContent = JSON.stringify(told);
}"""


@pytest.mark.promise("Q-2", "Q-7")
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("size", SIZES)
def test_a_member_checks_their_part_without_the_network(
    watched: Callable[..., Watched], exchange: Exchange, size: str, language: str
) -> None:
    somebody = watched(theme="dark", size=size, language=language)
    page: Page = somebody.page
    email = exchange.somebody()
    exchange.run(_PROVE)
    page.goto("/signin?next=/account/solvency")
    page.locator("[name=email]").fill(email)
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("main button[type=submit]").click()
    expect(page.locator("[data-currency]")).to_have_count(len(MONEY))
    somebody.find_nothing_wrong()

    expect(page.locator("[data-verify]")).to_be_enabled()
    page.context.set_offline(True)
    page.locator("[data-verify]").click()
    expect(page.locator(".proven")).to_have_count(len(MONEY))
    page.context.set_offline(False)
    somebody.find_nothing_wrong()

    page.goto("/solvency")
    expect(page.locator("main h1")).to_be_visible()
    expect(page.locator("tbody").first.locator("tr")).not_to_have_count(0)
    somebody.find_nothing_wrong()


@pytest.mark.promise("Q-4")
def test_a_page_that_lies_is_told_so(
    opened: Callable[..., Page], exchange: Exchange
) -> None:
    exchange.run(_PROVE)
    page = opened("/signin?next=/account/solvency")
    page.get_by_label("E-mail address").fill(exchange.somebody())
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    expect(page.locator("[data-currency]")).to_have_count(len(MONEY))

    page.evaluate(_LIE)
    page.get_by_role("button", name="Check now").click()

    expect(page.get_by_text("NOT proven").first).to_be_visible()
