"""The funds pages, as a member walks through them on the practice chain."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models.members import Member
from tests.accounts.mailbox import link
from tests.makers import Answer, code_of, enrol_totp, fund, make_member, prove
from tests.wallets.places import COIN, practice_place, rules
from wallets import queries, valuation
from wallets.chains.practice import Practice
from wallets.models.deposits import Deposit
from wallets.models.withdrawals import Beneficiary, Withdrawal


@pytest.fixture
def browser(alice: Member) -> Client:
    practice_place()
    rules(("0", 1), withdrawal_fee=Decimal("0.01"), automatic_up_to=Decimal(5))
    client = Client()
    client.force_login(alice)
    return client


def text(answer: Answer) -> str:
    return " ".join(answer.content.decode().split())


def test_one_sees_what_one_has_and_what_it_is_worth(
    browser: Client, alice: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    def price(currency: str, _in: str) -> Decimal | None:
        return Decimal(100) if currency == COIN else None

    monkeypatch.setattr(valuation, "sources", [price])
    fund(alice, f"2 {COIN}", "1 btc")
    page = text(browser.get("/funds"))
    assert "About 200.00 " in page
    assert "What has no price is not counted." in page
    assert "100%" in page


def test_a_deposit_from_the_page_to_the_balance(browser: Client, alice: Member) -> None:
    page = text(browser.get(f"/funds/deposit/{COIN}"))
    assert "practice chain" in page
    assert "litecoin:ltcpractice1" in page
    assert "Nothing has come yet" in page
    assert "New address" in page

    path = f"/funds/deposit/{COIN}/practise"
    answer = browser.post(path, {"deed": "pay"}, follow=True)
    assert "0 of 1 confirmations" in text(answer)
    answer = browser.post(path, {"deed": "mine"}, follow=True)
    assert "credited" in text(answer)
    assert queries.balance(alice.pk, COIN).available == 1
    first = Deposit.objects.get().address
    assert first in text(browser.get(f"/funds/deposit/{COIN}"))  # still yours


def test_an_unused_address_needs_no_other(browser: Client) -> None:
    browser.get(f"/funds/deposit/{COIN}")
    answer = browser.post(f"/funds/deposit/{COIN}/new", follow=True)
    assert "has not been used yet" in text(answer)


def test_what_is_not_listed_has_no_such_page(browser: Client) -> None:
    assert browser.get("/funds/deposit/nothing").status_code == 404
    assert browser.get("/funds/deposit/cny/new").status_code in {404, 405}


def test_there_is_no_practice_where_coins_are_real(
    browser: Client, settings: Any
) -> None:
    settings.CHAIN_URLS = {COIN: "http://u:p@127.0.0.1:1"}
    page = text(browser.get(f"/funds/deposit/{COIN}"))
    assert "deposits are delayed" in page
    assert "practice" not in page.lower()
    answer = browser.post(f"/funds/deposit/{COIN}/practise", {"deed": "pay"})
    assert answer.status_code == 404


@pytest.fixture
def secret(browser: Client, alice: Member) -> str:
    """Have an authenticator app, coins, and a proof for the address book."""
    fund(alice, f"10 {COIN}")
    secret = enrol_totp(alice, browser)
    prove(browser, alice)
    return secret


def write_down(browser: Client, alice: Member) -> Beneficiary:
    """Add a beneficiary and confirm it by mail."""
    answer = browser.post(
        "/funds/beneficiaries/new",
        {
            "currency": COIN,
            "label": "my phone",
            "destination": Practice(COIN).outside_address(),
        },
        follow=True,
    )
    assert "waits for the confirmation by mail" in text(answer)
    path = link(alice.email, "funds/beneficiaries").rstrip(")")
    assert "my phone" in text(Client().get(path))
    assert Beneficiary.objects.get().state == "unconfirmed"
    Client().post(path)
    row = Beneficiary.objects.get()
    assert row.state == "confirmed"
    assert Client().get(path).status_code == 410
    return row


@pytest.mark.promise("S-38")
def test_a_withdrawal_from_the_page_to_the_queue(
    browser: Client, alice: Member, secret: str
) -> None:
    row = write_down(browser, alice)
    wanted = {"beneficiary": row.pk, "amount": "2"}
    answer = browser.post(f"/funds/withdraw/{COIN}", wanted, follow=True)
    page = text(answer)
    assert "1.99 LTC" in page
    assert f"<span>{row.destination[:4]}</span>" in page
    path = answer.redirect_chain[-1][0]

    code = code_of(secret, timezone.now())
    answer = browser.post(path, {"with": "totp", "code": "000000"})
    assert answer.status_code in {403, 422}
    assert not Withdrawal.objects.exists()
    answer = browser.post(path, {"with": "totp", "code": code}, follow=True)
    assert "Somebody will look at it" in text(answer)
    placed = Withdrawal.objects.get()
    assert (placed.net, placed.state) == (Decimal("1.99"), "review")
    assert placed.proof is not None
    # The code, and the terms, were good once.
    answer = browser.post(path, {"with": "totp", "code": code})
    assert answer.status_code >= 400
    assert Withdrawal.objects.count() == 1

    answer = browser.post(f"/funds/withdrawals/{placed.pk}/cancel", follow=True)
    assert "yours to use again" in text(answer)
    assert queries.balance(alice.pk, COIN).available == 10


def test_terms_that_are_not_ours_are_nobodys(browser: Client, secret: str) -> None:
    assert browser.get("/funds/withdraw/confirm/abc").status_code == 404


@pytest.mark.promise("S-57")
def test_members_see_and_touch_their_own_only(
    browser: Client, alice: Member, secret: str
) -> None:
    row = write_down(browser, alice)
    mallory = make_member("mallory")
    other = Client()
    other.force_login(mallory)
    path = f"/funds/beneficiaries/{row.pk}/remove"
    assert other.post(path).status_code == 404
    assert row.label not in text(other.get("/funds/beneficiaries"))
    wanted = {"beneficiary": row.pk, "amount": "1"}
    assert other.post(f"/funds/withdraw/{COIN}", wanted).status_code == 400
    answer = browser.post(f"/funds/withdraw/{COIN}", wanted)
    assert other.get(answer.headers["Location"]).status_code in {302, 404}


def test_who_has_no_second_factor_is_sent_to_add_one(
    browser: Client, alice: Member
) -> None:
    fund(alice, f"10 {COIN}")
    answer = browser.get("/funds/beneficiaries/new", follow=True)
    assert "second factor" in text(answer)


@pytest.mark.parametrize("amount", ["", "abc", "1e3", "-1", "0.00000000001", "0.001"])
def test_an_amount_that_cannot_be_is_said_beside_its_field(
    browser: Client, alice: Member, secret: str, amount: str
) -> None:
    row = write_down(browser, alice)
    wanted = {"beneficiary": row.pk, "amount": amount}
    answer = browser.post(f"/funds/withdraw/{COIN}", wanted)
    assert answer.status_code == 400
    assert 'class="complaint"' in text(answer)
