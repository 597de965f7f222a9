"""Coins come in and leave in a real browser, on the practice chain."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.conftest import PASSWORD, Exchange
from tests.journeys.watched import SIZES, look_at
from tests.makers import code_of

pytestmark = pytest.mark.browser

_SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
_JOBS_MS = 60_000  # what the jobs of the background may take
# An authenticator app, a level that may withdraw, and a bank to pay to.
_SETTING_UP = """
from datetime import timedelta
from django.utils import timezone
from accounts.factors import totp
from accounts.models.members import Member
from tests.makers import code_of
from wallets.models.bank import BankChannel

member = Member.objects.get(email={email!r})
at = timezone.now() - timedelta(hours=1)
totp.enrol(member=member, secret={secret!r}, code=code_of({secret!r}, at),
    session_key=None, now=at)
Member.objects.filter(pk=member.pk).update(identity_level=2)
BankChannel.objects.update_or_create(currency_id="cny", name="town", defaults={{
    "holder": "Pixiu", "account": "123-456", "bank": "Town Bank", "is_practice": True}})
"""
_PROVING = """
from accounts.models.proofs import Proof
from accounts.models.sessions import Session

for session in Session.objects.filter(member__email={email!r}):
    Proof.objects.create(member=session.member, session=session.pk,
        purpose="security", factor="totp")
"""
_CONFIRMING = """
from django.db.models.functions import Now
from wallets.models.withdrawals import Beneficiary

Beneficiary.objects.filter(member__email={email!r}).update(
    state="confirmed", usable_from=Now())
"""
_APPROVING = """
from django.utils import timezone
from accounts.models.members import Member
from wallets import withdrawals
from wallets.models.withdrawals import Withdrawal

other = Member.objects.exclude(email={email!r}).order_by("pk")[0]
for row in Withdrawal.objects.filter(member__email={email!r}, state="review"):
    withdrawals.approve(withdrawal=row, operator=other, note="", now=timezone.now())
"""


def code(later_steps: int) -> str:
    """Return the app's code of now, or of a step before: each is good once."""
    return code_of(_SECRET, datetime.now(UTC) + timedelta(seconds=30 * later_steps))


def outside_address() -> str:
    from wallets.chains.practice import Practice

    return Practice("ltc").outside_address()


@pytest.mark.promise("U-70", "U-71", "U-72", "U-73")
@pytest.mark.parametrize("size", SIZES)
def test_a_coin_comes_in_and_leaves(
    opened: Callable[..., Page], exchange: Exchange, size: str
) -> None:
    email, (width, height) = exchange.somebody(), SIZES[size]
    exchange.run(_SETTING_UP.format(email=email, secret=_SECRET))
    page = opened("/signin?next=/funds", width=width, height=height)
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    page.get_by_label("Code").fill(code(-1))
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("heading", name="Funds")).to_be_visible()
    look_at(page)

    # In.
    page.goto("/funds/deposit/ltc")
    expect(page.get_by_text("Nothing has come yet")).to_be_visible()
    look_at(page)
    page.get_by_role("button", name="Send me practice coins").click()
    expect(page.get_by_text("0 of 2 confirmations")).to_be_visible()
    mine(page, 1)
    expect(page.get_by_text("1 of 2 confirmations")).to_be_visible()
    look_at(page)
    mine(page, 1)
    expect(page.locator("#deposits-live .tag").first).to_have_text("credited")

    # Money: to whom, and with which words.
    page.goto("/funds/deposit/cny")
    expect(page.get_by_text("Never send real money there")).to_be_visible()
    expect(page.get_by_text(re.compile(r"^PX-\w{4}-\w{4}$"))).to_be_visible()
    look_at(page)

    # The address book.
    exchange.run(_PROVING.format(email=email))
    page.goto("/funds/beneficiaries")
    page.get_by_role("link", name="Add a beneficiary").click()
    page.get_by_label("Currency").select_option("ltc")
    page.get_by_label("Label").fill("my phone")
    page.get_by_label("Address or account number").fill("nowhere")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_text("not an address of this coin's network")).to_be_visible()
    look_at(page)
    page.get_by_label("Address or account number").fill(outside_address())
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_text("waits for the confirmation by mail")).to_be_visible()
    look_at(page)
    exchange.run(_CONFIRMING.format(email=email))

    # Out.
    page.goto("/funds/withdraw/ltc")
    amount, said = page.get_by_label("Amount"), page.locator(".field [role=status]")
    page.get_by_role("button", name="All").click()
    expect(said).to_contain_text("LTC arrive")
    amount.fill("0.0001")
    expect(said).to_contain_text("The least is")
    look_at(page)
    amount.fill("0.5")
    expect(said).to_have_text("0.499 LTC arrive, our fee is 0.001 LTC.")
    look_at(page)
    page.get_by_role("button", name="Look at the terms").click()
    expect(page.get_by_role("heading", name="Confirm the withdrawal")).to_be_visible()
    expect(page.get_by_text("0.499 LTC")).to_be_visible()
    look_at(page)
    page.get_by_label("Code").fill(code(0))
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("Somebody will look at it")).to_be_visible()
    state = page.locator("#withdrawals-live .tag").first
    expect(state).to_have_text("being reviewed")
    look_at(page)
    exchange.run(_APPROVING.format(email=email))
    expect(state).to_have_text("sent", timeout=_JOBS_MS)
    page.goto("/funds/deposit/ltc")
    mine(page, 2)
    page.goto("/funds/withdraw/ltc")
    expect(state).to_have_text("confirmed", timeout=_JOBS_MS)
    look_at(page)


def mine(page: Page, blocks: int) -> None:
    for _ in range(blocks):
        page.get_by_role("button", name="Mine a block").click()
        expect(page.get_by_text("A block was mined.")).to_be_visible()
