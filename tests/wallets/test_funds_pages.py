"""The funds pages, as a member walks through them on the practice chain."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models.identity import IdentityLevel
from accounts.models.members import Member
from exchange.lib import mail
from exchange.lib.models import AuditRecord
from exchange.lib.states import advance
from exchange.lib.transactions import transaction
from tests.accounts.mailbox import link, mails_to
from tests.makers import Answer, code_of, enrol_totp, fund, make_member, prove
from tests.wallets.cashier import practice_cashier
from tests.wallets.places import COIN, practice_place, rules
from tests.wallets.test_withdrawals import build
from wallets import addresses, queries, valuation
from wallets.chains.practice import Practice
from wallets.models.coins import ConfirmationTier, Rules
from wallets.models.currencies import Currency
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

    in_btc = text(browser.get("/funds", {"in": "btc"}))
    assert "About 201.00000000 BTC" in in_btc
    assert '<option value="btc" selected>' in in_btc
    assert "About 200.00 " in text(browser.get("/funds", {"in": "nonsense"}))


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


def test_a_node_that_is_away_is_said(browser: Client, settings: Any) -> None:
    settings.CHAIN_URLS = {COIN: "http://u:p@127.0.0.1:1"}
    answer = browser.post(f"/funds/deposit/{COIN}/new", follow=True)
    assert answer.status_code == 200
    assert "The chain does not answer" in text(answer)


def test_an_address_that_was_given_before_is_nobody_elses(
    browser: Client, alice: Member, bob: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wallet that was set back to a backup gives them a second time."""
    his = addresses.address_for(member=bob, currency=COIN, now=timezone.now())
    monkeypatch.setattr(Practice, "new_address", lambda _self: his.address)

    page = browser.get(f"/funds/deposit/{COIN}")

    assert page.status_code == 200
    assert "deposits are delayed" in text(page)
    assert his.address not in text(page)
    assert addresses.addresses_of(alice, COIN) == []


def test_nobody_practises_where_nothing_is_taken(browser: Client) -> None:
    Rules.objects.filter(pk=COIN).update(takes_deposits=False)
    answer = browser.post(f"/funds/deposit/{COIN}/practise", {"deed": "pay"})
    assert answer.status_code == 422
    assert "Deposits of this currency are paused." in text(answer)


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


def test_what_is_of_no_field_is_said_above_them(
    browser: Client, alice: Member, secret: str
) -> None:
    entry = {"currency": COIN, "label": "b"}
    form = entry | {"destination": Practice(COIN).outside_address()}
    Member.objects.filter(pk=alice.pk).update(state="frozen")
    answer = browser.post("/funds/beneficiaries/new", form)
    assert answer.status_code == 400
    assert list(answer.context["form"].errors) == ["__all__"]
    assert "Your account is frozen" in text(answer)


@pytest.mark.parametrize("name", ["label", "bank", "holder"])
def test_words_that_cannot_be_seen_are_said_beside_their_field(
    browser: Client, secret: str, name: str
) -> None:
    entry = {"currency": "cny", "label": "b", "bank": "b", "holder": "h"}
    form = entry | {"destination": "62220212", name: "a\u202eb"}
    answer = browser.post("/funds/beneficiaries/new", form)
    assert answer.status_code == 400
    assert list(answer.context["form"].errors) == [name]
    answer = browser.post("/funds/beneficiaries/new", form | {name: "\x01"})
    assert answer.status_code == 400
    assert not Beneficiary.objects.exists()


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


# --- What a withdrawal's page says ---------------------------------------------------


def ask(browser: Client, row: Beneficiary, amount: str) -> Answer:
    wanted = {"beneficiary": row.pk, "amount": amount}
    return browser.post(f"/funds/withdraw/{COIN}", wanted)


@pytest.mark.promise("U-72")
def test_the_page_says_what_can_be_known_beforehand(
    browser: Client, alice: Member, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_down(browser, alice)
    fund(alice, f"0.12345678 {COIN}")
    Currency.objects.filter(pk=COIN).update(digits=4)
    IdentityLevel.objects.update(withdrawal_24h=100, withdrawal_30d=1000)
    monkeypatch.setattr(valuation, "sources", [lambda *_of: Decimal(25)])
    placed = ask(browser, Beneficiary.objects.get(), "1").headers["Location"]
    code = code_of(secret, timezone.now())
    browser.post(placed, {"with": "totp", "code": code})
    page = text(browser.get(f"/funds/withdraw/{COIN}"))
    for each in (
        'data-all="9.1234"',  # what is finer cannot be paid out
        'data-fee="0.01" data-least="0.011"',
        "{net} LTC arrive, our fee is {fee} LTC.",
        "What you may withdraw at level 0",
        '<meter min="0" max="100" value="25" aria-label="In 24 hours">',
        '<meter min="0" max="100" value="2" aria-label="In 30 days">',
        'href="/account/identity"',
    ):
        assert each in page


@pytest.mark.promise("U-72", "U-24")
def test_what_would_be_refused_is_said_beside_the_amount(
    browser: Client, alice: Member, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = write_down(browser, alice)
    for amount, price, words in (
        ("11", 0, "You do not have that much available."),
        ("9", 10**9, "This is more than you may withdraw at your level."),
    ):
        value = Decimal(price)
        monkeypatch.setattr(valuation, "sources", [lambda *_a, value=value: value])
        answer = ask(browser, row, amount)
        assert answer.status_code == 400
        assert f'<p class="complaint" id="id_amount_error">{words}</p>' in text(answer)
    assert not Withdrawal.objects.exists()


@pytest.mark.promise("S-34", "S-32")
def test_what_rests_says_until_when(
    browser: Client, alice: Member, secret: str, settings: Any
) -> None:
    row = write_down(browser, alice)
    settings.WITHDRAWAL_REST_HOURS = 24
    tomorrow = timezone.now() + timedelta(hours=24)
    Member.objects.filter(pk=alice.pk).update(security_changed_at=timezone.now())
    page = text(browser.get(f"/funds/withdraw/{COIN}"))
    assert "withdrawals rest until" in page
    assert 'data-hours="in {hours} h {minutes} min"' in page
    answer = ask(browser, row, "1")
    assert "Withdrawals rest for a while" in text(answer)

    Beneficiary.objects.update(usable_from=tomorrow)
    for path in (f"/funds/withdraw/{COIN}", "/funds/beneficiaries"):
        page = text(browser.get(path))
        assert "can be paid from" in page
        assert f'data-until="{tomorrow:%Y-%m-%d}' in page


@pytest.mark.promise("U-57")
def test_practice_is_called_practice_wherever_one_pays(
    browser: Client, alice: Member, secret: str
) -> None:
    row = write_down(browser, alice)
    terms = ask(browser, row, "1").headers["Location"]
    for path in (f"/funds/withdraw/{COIN}", terms):
        assert "This is a practice chain" in text(browser.get(path))
    assert "Practice chains" in text(browser.get("/funds/beneficiaries/new"))
    tag = '<span class="tag">practice</span>'
    assert tag in text(browser.get("/funds/beneficiaries"))


@pytest.mark.promise("U-72", "U-71")
def test_a_transaction_can_be_looked_at_where_coins_are_real(
    browser: Client, alice: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    explorer = "https://blocks.example.com/{txid}"
    rules(("0", 1), explorer=explorer)
    place = practice_place()
    deposit = place.pay(alice, "1")
    place.mine()
    place.scan()
    cashier = practice_cashier(COIN)
    row = cashier.approved(alice, "0.5")
    Rules.objects.filter(pk=COIN).update(explorer=explorer)
    for depth, amount in ((1, 0), (6, "0.5")):
        ConfirmationTier.objects.create(
            rules=cashier.rules, amount_from=amount, confirmations=depth
        )
    cashier.run()
    cashier.world.mine(2)
    cashier.run()
    row.refresh_from_db()
    page = text(browser.get(f"/funds/withdraw/{COIN}"))
    assert "2 of 6 confirmations" in page
    assert explorer[:20] not in page  # nobody shows the blocks of a practice chain

    monkeypatch.setattr(Practice, "is_practice", False)
    for path, txid in (("withdraw", row.txid), ("deposit", deposit)):
        page = text(browser.get(f"/funds/{path}/{COIN}"))
        url = explorer.format(txid=txid)
        assert f'<a href="{url}" rel="noopener noreferrer" target="_blank">' in page
    Rules.objects.filter(pk=COIN).update(explorer="javascript:alert({txid})")
    assert "javascript:" not in text(browser.get(f"/funds/deposit/{COIN}"))


# --- What its mails say --------------------------------------------------------------


def texts(member: Member, subject: str) -> list[str]:
    """Return what was written to somebody under a subject."""
    rows = [row for row in mails_to(member.email) if subject in row.subject]
    return [body.text for row in rows if (body := mail.read(row))]


@pytest.mark.promise("U-72")
def test_a_mail_says_once_that_it_was_sent(
    db: None, alice: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    cashier = practice_cashier()
    Rules.objects.filter(pk="btc").update(explorer="https://blocks.example.com/{txid}")
    cashier.deposit(alice, "3", "3")
    cashier.approved(alice, "1")
    cashier.finish()
    (said,) = texts(alice, "1.0 BTC are on their way")
    assert cashier.payout().transactions.get().txid in said
    assert "blocks.example.com" not in said  # of a practice chain nobody shows blocks

    monkeypatch.setattr(Practice, "is_practice", False)
    row = cashier.approved(alice, "0.5")
    cashier.finish()
    row.refresh_from_db()
    (said,) = texts(alice, "0.5 BTC are on their way")
    assert f"https://blocks.example.com/{row.txid}" in said


@pytest.mark.promise("S-39", "S-57")
def test_a_link_in_the_mail_cancels_without_signing_in(
    browser: Client, alice: Member, secret: str
) -> None:
    row = write_down(browser, alice)
    terms = ask(browser, row, "2").headers["Location"]
    code = code_of(secret, timezone.now())
    browser.post(terms, {"with": "totp", "code": code})
    placed = Withdrawal.objects.get()
    path = link(alice.email, "funds/withdrawals").rstrip(")")

    stranger = Client()
    page = text(stranger.get(path))
    assert "Cancel it" in page
    assert row.destination in page
    placed.refresh_from_db()
    assert placed.state == "review"  # looking changes nothing
    wrong = path.replace(f"/{placed.pk}/", f"/{placed.pk + 1}/")
    assert stranger.post(wrong).status_code == 410
    assert stranger.post(path[:-2] + "xx").status_code == 410

    answer = stranger.post(path)
    assert "yours to use again" in text(answer)
    placed.refresh_from_db()
    assert placed.state == "cancelled"
    assert queries.balance(alice.pk, COIN).available == 10
    told = AuditRecord.objects.filter(action="cancel").order_by("-pk")[0]
    assert told.facts["door"] == "mail"
    assert stranger.get(path).status_code == 410
    assert stranger.post(path).status_code == 410


@pytest.mark.promise("S-39")
def test_the_link_cancels_nothing_that_is_being_prepared(
    browser: Client, alice: Member, secret: str
) -> None:
    row = write_down(browser, alice)
    terms = ask(browser, row, "2").headers["Location"]
    browser.post(terms, {"with": "totp", "code": code_of(secret, timezone.now())})
    path = link(alice.email, "funds/withdrawals").rstrip(")")
    placed = Withdrawal.objects.get()
    with transaction():
        placed = advance(placed, "approve", by="system")
    assert Client().get(path).status_code == 200
    build(placed)
    assert Client().get(path).status_code == 410
    assert Client().post(path).status_code == 410
    assert queries.balance(alice.pk, COIN).locked == 2
