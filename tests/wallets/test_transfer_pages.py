"""The page of transfers, as members walk through it."""

from __future__ import annotations

import base64
import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models.identity import IdentityLevel
from accounts.models.members import Member
from tests.makers import Answer, code_of, enrol_totp, fund, prove
from tests.wallets.places import COIN, practice_place, rules
from tests.wallets.test_funds_pages import text
from wallets import addresses, queries, valuation
from wallets.models.transfers import Transfer

PAGE = "/funds/transfer"


@pytest.fixture(autouse=True)
def _prices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(valuation, "sources", [lambda _currency, _in: Decimal(1)])


@pytest.fixture
def browser(alice: Member, bob: Member) -> Client:
    IdentityLevel.objects.update(withdrawal_24h=100, withdrawal_30d=100)
    client = Client()
    client.force_login(alice)
    return client


@pytest.fixture
def secret(browser: Client, alice: Member) -> str:
    """Have an authenticator app, and coins."""
    fund(alice, f"10 {COIN}")
    return enrol_totp(alice, browser)


def wish(**changes: Any) -> dict[str, Any]:
    whole = {"recipient": "bob@example.com", "currency": COIN, "amount": "2"}
    return whole | {"note": "for lunch"} | changes


def ask(browser: Client, **changes: Any) -> Answer:
    return browser.post(PAGE, wish(**changes))


def shown(browser: Client, **changes: Any) -> str:
    """Return where the terms of a transfer are looked at."""
    return str(ask(browser, **changes)["Location"])


def confirm(browser: Client, path: str, secret: str, *, later_steps: int = 0) -> Answer:
    """Show the app's code of now, or of a later step: each is good once."""
    at = timezone.now() + later_steps * timedelta(seconds=30)
    form = {"with": "totp", "code": code_of(secret, at)}
    return browser.post(path, form, follow=True)


@pytest.mark.promise("U-74", "S-38")
def test_a_transfer_from_the_page_to_both_histories(
    browser: Client, alice: Member, bob: Member, secret: str
) -> None:
    assert "neither sent nor received" in text(browser.get(PAGE))
    assert alice.sn in text(browser.get(PAGE))
    path = shown(browser)
    page = text(browser.get(path))
    for words in ("bob@example.com", "2 LTC", "for lunch", "none"):
        assert words in page
    assert browser.post(path, {"with": "totp", "code": "000000"}).status_code >= 400
    assert not Transfer.objects.exists()

    answer = confirm(browser, path, secret)

    assert "It is theirs now" in text(answer)
    assert f"to {bob.sn}" in text(answer)
    row = Transfer.objects.get()
    assert (row.recipient, row.amount, row.note) == (bob, 2, "for lunch")
    assert row.proof is not None
    his = Client()
    his.force_login(bob)
    page = text(his.get(PAGE))
    assert f"from {alice.sn}" in page
    assert "Note: for lunch" in page
    assert "alice@example.com" not in page


@pytest.mark.promise("R-2")
def test_a_page_that_is_sent_again_pays_once(
    browser: Client, bob: Member, secret: str
) -> None:
    path = shown(browser)
    for steps in (0, 1):
        answer = confirm(browser, path, secret, later_steps=steps)
        assert "It is theirs now" in text(answer)
    assert Transfer.objects.count() == 1
    confirm(browser, shown(browser), secret, later_steps=-1)  # an old code
    assert queries.balance(bob.pk, COIN).available == 2


@pytest.mark.promise("S-9")
def test_an_address_looks_the_same_whether_there_is_a_member_or_none(
    browser: Client, bob: Member, secret: str
) -> None:
    Member.objects.update(display_name="Robert Bobson")
    pages = []
    for typed in ("bob@example.com", "eva@example.com"):
        path = shown(browser, recipient=typed)
        page = browser.get(path).content.decode()
        form = {"with": "totp", "code": "000000"}
        wrong = browser.post(path, form).content.decode()
        words = [main_of(each).replace(typed, "somebody") for each in (page, wrong)]
        pages.append(words)
    assert pages[0] == pages[1]
    assert "R…" not in pages[0][0]

    assert "R… B…" in text(browser.get(shown(browser, recipient=bob.sn)))
    path = shown(browser, recipient="eva@example.com")
    assert "no member" in text(confirm(browser, path, secret))


def main_of(page: str) -> str:
    """Return what a page says, without what differs from one answer to the next."""
    (main,) = re.findall(r"<main.*</main>", page, re.DOTALL)
    return re.sub(r'value="[A-Za-z0-9]{64}"', "", main)


@pytest.mark.promise("S-68")
def test_the_address_of_the_page_does_not_say_who_is_paid(
    browser: Client, secret: str
) -> None:
    terms = shown(browser).rpartition("/")[2].partition(":")[0]
    inner = base64.urlsafe_b64decode(terms + "===")
    for layer in (inner, base64.urlsafe_b64decode(inner.strip(b'"') + b"===")):
        assert b"bob" not in layer
        assert b"lunch" not in layer


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"recipient": "bob"}, "member number"),
        ({"recipient": "PEAAAAAAAAATIO"}, "no member"),
        ({"recipient": "alice@example.com"}, "your own account"),
        ({"amount": "11"}, "that much available"),
        ({"amount": "0"}, "above zero"),
        ({"amount": "1e3"}, "plain decimal"),
        ({"amount": "0.0000000001"}, "at most 8 digits"),
        ({"note": "a\u202eb"}, "cannot be seen"),
        ({"note": "x" * 141}, "at most 140"),
        ({"currency": "xyz"}, "valid choice"),
    ],
)
def test_what_cannot_be_is_said_beside_its_field(
    browser: Client, secret: str, changes: dict[str, str], said: str
) -> None:
    answer = ask(browser, **changes)

    assert answer.status_code == 400
    assert 'class="complaint"' in text(answer)
    assert said in text(answer)


def test_terms_are_their_makers_only(browser: Client, bob: Member, secret: str) -> None:
    path = shown(browser)
    his = Client()
    his.force_login(bob)
    assert his.get(path).status_code == 404
    assert browser.get(f"{PAGE}/confirm/abc").status_code == 404


def test_who_has_no_second_factor_is_sent_to_add_one(
    browser: Client, alice: Member
) -> None:
    fund(alice, f"10 {COIN}")
    answer = browser.get(shown(browser), follow=True)
    assert "second factor" in text(answer)


def test_a_rest_is_announced(browser: Client, alice: Member, settings: Any) -> None:
    settings.WITHDRAWAL_REST_HOURS = 24
    Member.objects.filter(pk=alice.pk).update(security_changed_at=timezone.now())
    assert "transfers rest until" in text(browser.get(PAGE))


@pytest.mark.promise("W-29", "W-30")
def test_an_address_of_ours_and_the_withdrawal_lead_here(
    browser: Client, alice: Member, bob: Member, secret: str
) -> None:
    practice_place()
    rules(("0", 1))
    prove(browser, alice)
    here = f'href="{PAGE}'
    ours = addresses.address_for(member=bob, currency=COIN, now=timezone.now()).address
    wanted = {"currency": COIN, "label": "bob", "destination": ours}
    before = text(browser.get("/funds/beneficiaries/new")).count(here)
    page = text(browser.post("/funds/beneficiaries/new", wanted))
    assert "by an internal transfer" in page
    assert page.count(here) == before + 1
    assert f"{here}?currency={COIN}" in text(browser.get(f"/funds/withdraw/{COIN}"))
