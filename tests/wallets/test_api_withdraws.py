"""REST v2: withdrawals, the address book, addresses and the statement."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from django.core import mail
from django.utils import timezone

from accounts import members, throttling
from accounts.models.identity import IdentityLevel
from accounts.models.members import Member
from exchange.lib import mail as letters
from exchange.lib.states import advance
from exchange.lib.transactions import transaction
from tests.accounts.mailbox import mails_to
from tests.makers import ApiClient, fund, make_token
from tests.races.crowd import at_once
from tests.wallets.places import COIN, practice_place, rules
from tests.wallets.test_withdrawals import book
from wallets import addresses, beneficiaries, ledger, queries, statement, valuation
from wallets.chains.practice import Practice
from wallets.ledger import AVAILABLE, LOCKED, Move, Reason
from wallets.models.coins import Rules
from wallets.models.currencies import Currency
from wallets.models.deposits import DepositAddress
from wallets.models.withdrawals import Beneficiary, Withdrawal
from wallets.statement import Wanted

D = Decimal


@pytest.fixture(autouse=True)
def _limits(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    practice_place()
    rules(("0", 1), automatic_up_to=Decimal(5), withdrawal_fee=Decimal("0.1"))
    monkeypatch.setattr(valuation, "sources", [lambda _currency, _in: Decimal(1)])
    IdentityLevel.objects.update(withdrawal_24h=8, withdrawal_30d=8)


@pytest.fixture
def bot(alice: Member) -> ApiClient:
    """Alice's key that may withdraw, and ten coins."""
    fund(alice, f"10 {COIN}")
    return payer_of(alice)


@pytest.fixture
def mine(alice: Member) -> Beneficiary:
    return book(alice)


def payer_of(member: Member, **terms: Any) -> ApiClient:
    scopes = {"scopes": ["withdraw"], "trusted_ips": ["127.0.0.1"]} | terms
    return ApiClient(make_token(member, **scopes))


def wish(to: Beneficiary, **changes: Any) -> dict[str, Any]:
    return {"currency": COIN, "beneficiary": to.pk, "amount": "2"} | changes


@pytest.mark.promise("S-47")
def test_it_withdraws_to_the_address_book(bot: ApiClient, mine: Beneficiary) -> None:
    answer = bot.post("withdraws", **wish(mine, client_id="w-1", fee="0.1"))

    assert answer.status_code == 201
    told = answer.json()
    row = Withdrawal.objects.get()
    assert told == {
        "id": row.pk,
        "currency": COIN,
        "beneficiary": mine.pk,
        "destination": mine.destination,
        "amount": "2.0",
        "fee": "0.1",
        "net": "1.9",
        "state": "submitted",  # nobody was ever paid there
        "note": "",
        "client_id": "w-1",
        "txid": None,
        "confirmations": 0,
        "created_at": told["created_at"],
        "updated_at": told["updated_at"],
    }
    assert row.doubts == ["new_beneficiary"]
    assert row.token is not None
    assert bot.get("withdraw", id=row.pk).json() == told
    assert bot.get("withdraws", currency=COIN, state="submitted").json() == [told]
    assert bot.get("withdraws", state="done").json() == []
    assert queries.balance(row.member_id, COIN).locked == 2


@pytest.mark.promise("R-2", "R-3", "I-15")
def test_a_retry_withdraws_nothing_twice(bot: ApiClient, mine: Beneficiary) -> None:
    first = bot.post("withdraws", **wish(mine, client_id="a"))
    again = bot.post("withdraws", **wish(mine, client_id="a"))
    other = bot.post("withdraws", **wish(mine, client_id="a", amount="3"))

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert other.status_code == 409

    beneficiaries.remove(member=mine.member, beneficiary=mine)
    assert bot.post("withdraws", **wish(mine, client_id="a")).json() == first.json()
    assert bot.post("withdraws", **wish(mine, client_id="b")).status_code == 400
    assert Withdrawal.objects.count() == 1


REFUSED = [
    ({"beneficiary": None}, 400, "beneficiary is missing"),
    ({"amount": None}, 400, "amount is missing"),
    ({"amount": "1e1"}, 400, ""),
    ({"amount": "-1"}, 400, ""),
    ({"amount": "1.123456789"}, 400, "at most 8 digits"),
    ({"amount": "0.1"}, 400, "The least you can withdraw"),
    ({"amount": "8.1"}, 400, "more than you may withdraw"),
    ({"currency": "xyz"}, 400, "currency does not have a valid value"),
    ({"currency": "btc"}, 404, "doesn't exist"),  # the entry is of another
    ({"beneficiary": 0}, 404, "doesn't exist"),
    ({"fee": "0.05"}, 409, "The terms have changed"),
    ({"client_id": "x" * 65}, 400, "client_id is too long"),
]


@pytest.mark.parametrize(("change", "status", "said"), REFUSED)
def test_what_may_not_be_is_refused_and_changes_nothing(
    bot: ApiClient, mine: Beneficiary, change: dict[str, Any], status: int, said: str
) -> None:
    asked = {k: v for k, v in wish(mine, **change).items() if v is not None}
    answer = bot.post("withdraws", **asked)

    assert answer.status_code == status, answer.content
    assert said in answer.json()["error"]["message"]
    assert not Withdrawal.objects.exists()
    assert queries.balance(mine.member_id, COIN).available == 10


def test_no_digit_of_a_long_amount_is_lost(bot: ApiClient, alice: Member) -> None:
    Currency.objects.create(
        code="eth", name="Ether", kind=Currency.Kind.COIN, scale=18, digits=18
    )
    terms = {"withdrawal_min": D(1), "withdrawal_fee": D("0.1")}
    Rules.objects.create(currency_id="eth", **terms)
    IdentityLevel.objects.update(withdrawal_24h=10**18, withdrawal_30d=10**18)
    amount = "12345678901.000000000000000003"  # more than 28 digits
    fund(alice, f"{amount} eth")
    to = Practice("eth").outside_address()
    asked = {"currency": "eth", "label": "cold", "destination": to}
    key = bot.post("beneficiaries", **asked).json()["id"]
    Beneficiary.objects.update(state="confirmed", usable_from=timezone.now())

    wanted = {"currency": "eth", "beneficiary": key, "amount": amount, "fee": "0.1"}
    answer = bot.post("withdraws", **wanted)

    assert answer.status_code == 201, answer.content
    assert answer.json()["net"] == "12345678900.900000000000000003"


def test_it_is_refused_to_whoever_may_not(
    bot: ApiClient, mine: Beneficiary, alice: Member, settings: Any
) -> None:
    elsewhere = payer_of(alice, trusted_ips=["203.0.113.0/24"])
    assert elsewhere.post("withdraws", **wish(mine)).status_code == 403
    trader = ApiClient(make_token(alice, scopes=["read", "trade"]))
    assert trader.post("withdraws", **wish(mine)).status_code == 401

    settings.WITHDRAWAL_REST_HOURS = 24
    Member.objects.filter(pk=alice.pk).update(security_changed_at=timezone.now())
    resting = bot.post("withdraws", **wish(mine))
    assert resting.status_code == 400
    assert "Withdrawals rest" in resting.json()["error"]["message"]
    Member.objects.filter(pk=alice.pk).update(security_changed_at=None)

    Rules.objects.filter(pk=COIN).update(pays_withdrawals=False)
    assert "paused" in bot.post("withdraws", **wish(mine)).json()["error"]["message"]
    Rules.objects.filter(pk=COIN).update(pays_withdrawals=True)

    members.freeze(member=alice, by="test", reason="test")
    assert bot.post("withdraws", **wish(mine)).status_code in {401, 403}
    assert not Withdrawal.objects.exists()


def test_an_entry_that_rests_is_not_paid(bot: ApiClient, mine: Beneficiary) -> None:
    Beneficiary.objects.filter(pk=mine.pk).update(
        usable_from=timezone.now() + timedelta(hours=1)
    )
    answer = bot.post("withdraws", **wish(mine))
    assert answer.status_code == 400
    assert "cannot be paid yet" in answer.json()["error"]["message"]


@pytest.mark.promise("S-48", "S-57")
def test_what_is_anothers_is_unknown(
    bot: ApiClient, mine: Beneficiary, bob: Member
) -> None:
    theirs = bot.post("withdraws", **wish(mine)).json()["id"]
    fund(bob, f"10 {COIN}")
    his = payer_of(bob)

    assert his.get("withdraw", id=theirs).status_code == 404
    assert his.post("withdraw/cancel", id=theirs).status_code == 404
    assert his.post("withdraws", **wish(mine)).status_code == 404
    assert his.post("beneficiary/remove", id=mine.pk).status_code == 404
    assert his.get("withdraws").json() == his.get("beneficiaries").json() == []
    assert his.get("deposit_addresses", currency=COIN).json() == []
    assert Withdrawal.objects.get().state == "review"
    assert Beneficiary.objects.get().state == "confirmed"


def test_a_cancel_says_when_it_was(bot: ApiClient, mine: Beneficiary) -> None:
    key = bot.post("withdraws", **wish(mine)).json()["id"]
    long_ago = timezone.now() - timedelta(hours=1)
    Withdrawal.objects.update(created_at=long_ago, updated_at=long_ago)

    cancelled = bot.post("withdraw/cancel", id=key).json()

    assert cancelled["updated_at"] > cancelled["created_at"]
    assert bot.get("withdraw", id=key).json() == cancelled


@pytest.mark.broken_books  # what is built here is in no payout
def test_it_is_cancelled_while_nothing_is_prepared(
    bot: ApiClient, mine: Beneficiary
) -> None:
    first = bot.post("withdraws", **wish(mine)).json()["id"]
    cancelled = bot.post("withdraw/cancel", id=first)
    assert (cancelled.status_code, cancelled.json()["state"]) == (201, "canceled")
    assert bot.post("withdraw/cancel", id=first).json() == cancelled.json()
    assert queries.balance(mine.member_id, COIN).available == 10

    second = bot.post("withdraws", **wish(mine)).json()["id"]
    row = Withdrawal.objects.get(pk=second)
    with transaction():
        advance(advance(row, "approve", by="t"), "build", by="t", payout=None)
    late = bot.post("withdraw/cancel", id=second)
    assert late.status_code == 409
    assert bot.get("withdraw", id=second).json()["state"] == "processing"


def test_an_entry_is_added_confirmed_by_mail_and_removed(
    bot: ApiClient, alice: Member, django_capture_on_commit_callbacks: Any
) -> None:
    to = practice_place().world.outside_address()
    added = bot.post("beneficiaries", currency=COIN, label="cold", destination=to)

    assert added.status_code == 201
    told = added.json()
    assert (told["state"], told["usable_from"]) == ("unconfirmed", None)
    assert bot.get("beneficiaries").json() == [told]
    unusable = bot.post("withdraws", **wish(Beneficiary.objects.get()))
    assert unusable.status_code == 400

    again = bot.post("beneficiaries", currency=COIN, label="b", destination=to)
    assert again.status_code == 409
    removed = bot.post("beneficiary/remove", id=told["id"])
    assert removed.json()["state"] == "removed"
    assert bot.get("beneficiaries").json() == []
    assert bot.post("beneficiary/remove", id=told["id"]).json() == removed.json()
    assert mail.outbox == []  # it goes out by a job, not by the request


@pytest.mark.promise("W-30")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"destination": "nonsense"}, "not an address"),
        ({"destination": "x" * 129}, "destination is too long"),
        ({"label": "x" * 41}, "label is too long"),
        ({"label": ""}, "label is invalid"),
        ({"label": " \x01"}, "label is invalid"),
        ({"destination": None}, "destination is missing"),
    ],
)
def test_a_bad_entry_is_refused(
    bot: ApiClient, change: dict[str, Any], said: str
) -> None:
    to = practice_place().world.outside_address()
    asked = {"currency": COIN, "label": "cold", "destination": to} | change
    answer = bot.post(
        "beneficiaries", **{k: v for k, v in asked.items() if v is not None}
    )
    assert answer.status_code == 400
    assert said in answer.json()["error"]["message"]
    assert not Beneficiary.objects.exists()


@pytest.mark.parametrize("name", ["bank", "holder", "destination"])
def test_an_account_is_named_by_what_can_be_seen(bot: ApiClient, name: str) -> None:
    asked = {"currency": "cny", "label": "bank", "destination": "6222 0212"}
    whole = asked | {"bank": "ICBC", "holder": "Alice"}
    answer = bot.post("beneficiaries", **whole | {name: "\x01"})
    assert answer.status_code == 400
    assert "bank, holder and number" in answer.json()["error"]["message"]


def test_figures_are_the_same_from_any_keyboard(bot: ApiClient) -> None:
    terms = {"currency": "cny", "label": "b", "bank": "ICBC", "holder": "A"}
    wide = bot.post("beneficiaries", destination="６２２２ ０２１２", **terms)
    assert wide.json()["destination"] == "62220212"
    again = bot.post("beneficiaries", destination="6222 0212", **terms)
    assert again.status_code == 409
    ligatures = bot.post("beneficiaries", destination="\ufdfa" * 128, **terms)
    assert ligatures.status_code == 400


def test_a_label_is_in_any_script(bot: ApiClient, alice: Member) -> None:
    for label in ("👩‍💻 laptop", "کیف\u200cپول", "钱包"):
        to = practice_place().world.outside_address()
        answer = bot.post("beneficiaries", currency=COIN, label=label, destination=to)
        assert answer.status_code == 201, label
        assert answer.json()["label"] == label
        assert label in mails_to(alice.email)[-1].subject


def test_an_account_is_no_button_in_our_mail(bot: ApiClient, alice: Member) -> None:
    terms = {"currency": "cny", "bank": "ICBC", "holder": "A"}
    for label, number in (
        ("my bank", "[Cancel it](https://thief.example/)"),
        ("[Cancel", "it](https://thief.example/)"),
    ):
        asked = {"label": label, "destination": number}
        assert bot.post("beneficiaries", **terms | asked).status_code == 201
        said = letters.read(mails_to(alice.email)[-1])
        assert said is not None
        assert "thief.example" in said.text
        assert 'href="https://thief.example' not in said.html


def test_who_is_frozen_writes_nobody_down(bot: ApiClient, alice: Member) -> None:
    members.freeze(member=alice, by="test", reason="test")
    to = practice_place().world.outside_address()
    answer = bot.post("beneficiaries", currency=COIN, label="me", destination=to)
    assert answer.status_code == 403
    assert "frozen" in answer.json()["error"]["message"]
    assert not Beneficiary.objects.exists()


def test_nobodys_mailbox_is_flooded(
    bot: ApiClient,
    mine: Beneficiary,
    alice: Member,
    bob: Member,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By entries that come and go, withdrawals taken back, and crumbs for others."""
    # `mine` was the first of four.
    monkeypatch.setattr(throttling, "MAILS_PER_MEMBER", 4, raising=False)
    to = practice_place().world.outside_address()
    entry = {"currency": COIN, "label": "x", "destination": to}
    crumb = {"currency": COIN, "recipient": bob.sn, "amount": "0.00000001"}
    assert bot.post("beneficiaries", **entry).status_code == 201
    assert bot.post("withdraws", **wish(mine)).status_code == 201
    assert bot.post("transfers", **crumb, client_id="a").status_code == 201

    other = entry | {"destination": practice_place().world.outside_address()}
    for path, asked in (
        ("beneficiaries", other),
        ("withdraws", wish(mine)),
        ("transfers", crumb),
    ):
        answer = bot.post(path, **asked)
        assert answer.status_code == 429, path
        assert answer.headers["Retry-After"]

    assert bot.post("transfers", **crumb, client_id="a").status_code == 201
    assert len(mails_to(bob.email)) == 1
    assert Withdrawal.objects.count() == 1
    assert queries.balance(bob.pk, COIN).available == D("0.00000001")


def test_our_own_address_is_no_entry(bot: ApiClient, bob: Member) -> None:
    his = addresses.address_for(member=bob, currency=COIN, now=timezone.now())
    answer = bot.post(
        "beneficiaries", currency=COIN, label="bob", destination=his.address
    )
    assert answer.status_code == 400
    assert "one of ours" in answer.json()["error"]["message"]


def test_an_address_is_given_once_until_it_is_used(bot: ApiClient) -> None:
    assert bot.get("deposit_address", currency=COIN).json() is None
    first = bot.post("deposit_address", currency=COIN)
    assert first.status_code == 201
    assert bot.post("deposit_address", currency=COIN).json() == first.json()
    DepositAddress.objects.update(is_used=True)
    second = bot.post("deposit_address", currency=COIN).json()
    listed = bot.get("deposit_addresses", currency=COIN).json()
    assert [(each["address"], each["is_used"]) for each in listed] == [
        (second["address"], False),
        (first.json()["address"], True),
    ]


def test_no_address_is_given_where_nothing_is_taken(
    bot: ApiClient, settings: Any
) -> None:
    assert bot.post("deposit_address", currency="cny").status_code == 400
    Rules.objects.filter(pk=COIN).update(takes_deposits=False)
    closed = bot.post("deposit_address", currency=COIN)
    assert closed.status_code == 400
    assert "paused" in closed.json()["error"]["message"]
    Rules.objects.filter(pk=COIN).update(takes_deposits=True)
    settings.CHAIN_URLS = {COIN: "http://u:p@127.0.0.1:1"}
    away = bot.post("deposit_address", currency=COIN)
    assert away.status_code == 503
    assert not DepositAddress.objects.exists()


# --- The statement --------------------------------------------------------------------


@pytest.fixture
def reader(alice: Member) -> ApiClient:
    return ApiClient(make_token(alice, scopes=["read"]))


def test_the_statement_has_the_balance_after_each_entry(
    bot: ApiClient, reader: ApiClient, alice: Member, mine: Beneficiary
) -> None:
    withdrawn = bot.post("withdraws", **wish(mine)).json()["id"]
    fund(alice, f"0.5 {COIN}", "7 cny")

    newest, placed, first = reader.get("account/entries", currency=COIN).json()

    figures = ("available", "locked", "available_after", "locked_after")
    assert [newest[each] for each in figures] == ["0.5", "0.0", "8.5", "2.0"]
    assert [placed[each] for each in figures] == ["-2.0", "2.0", "8.0", "2.0"]
    assert [first[each] for each in figures] == ["10.0", "0.0", "10.0", "0.0"]
    assert placed["reason"] == "withdrawal_placed"
    assert placed["reference"] == f"withdrawal:{withdrawn}:placed"
    assert placed["currency"] == COIN


@pytest.mark.broken_books  # nothing stands behind what is moved here
@pytest.mark.promise("I-2")
def test_pages_of_the_statement_join_without_a_seam(alice: Member, bob: Member) -> None:
    fund(alice, f"10 {COIN}")
    fund(bob, f"10 {COIN}")
    hers, his = (
        ledger.account_of(member_id=each.pk, currency=COIN) for each in (alice, bob)
    )
    ends = [
        (hers, AVAILABLE, hers, LOCKED),
        (hers, LOCKED, his, AVAILABLE),
        (his, AVAILABLE, hers, AVAILABLE),
        (hers, AVAILABLE, hers, LOCKED),
        (hers, LOCKED, hers, AVAILABLE),
    ]
    for number, (source, out_of, target, into) in enumerate(ends * 3):
        amount = Decimal("0.25")
        reason, cause = Reason.ADJUSTMENT.value, f"test:{number}"
        move = Move(source, out_of, target, into, amount, reason, cause)
        with transaction():
            ledger.post([move], at=timezone.now())

    wanted = Wanted(currency=COIN)
    whole = statement.Reader(alice, wanted).read(100)
    reader = statement.Reader(alice, wanted)
    pages = [line for _ in range(6) for line in reader.read(3)]

    assert pages == whole
    assert len(whole) == 16
    row = queries.balance(alice.pk, COIN)
    assert (whole[0].available, whole[0].locked) == (row.available, row.locked)
    for newer, older in pairwise(whole):
        assert newer.available == older.available + newer.free
        assert newer.locked == older.locked + newer.bound
    assert (whole[-1].free, whole[-1].available) == (D(10), D(10))


def test_a_statement_of_nothing_is_empty(reader: ApiClient) -> None:
    assert reader.get("account/entries", currency=COIN).json() == []
    assert reader.get("account/entries").status_code == 400
    many = reader.get("account/entries", currency=COIN, limit=1001)
    assert many.status_code == 400


@pytest.mark.races
@pytest.mark.promise("I-15", "R-2")
def test_twenty_posts_with_one_id_withdraw_once(
    bot: ApiClient, mine: Beneficiary
) -> None:
    asked = wish(mine, client_id="once", amount="1")
    answers = at_once(*[partial(bot.post, "withdraws", **asked)] * 20)
    assert {each.status_code for each in answers} == {201}  # type: ignore[union-attr]
    assert Withdrawal.objects.count() == 1
    assert queries.balance(mine.member_id, COIN).locked == 1
    assert beneficiaries.of(mine.member) == [mine]
