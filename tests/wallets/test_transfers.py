"""Transfers: who may pay whom, by which word, how much, and who learns what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError
from django.utils import timezone

from accounts import exports, members, throttling
from accounts.models.members import Member
from accounts.models.proofs import Proof
from accounts.models.tokens import ApiToken
from accounts.standing import AddressNotConfirmed
from exchange.lib import bus, mail, words
from exchange.lib.errors import ExchangeError
from exchange.lib.models import AuditRecord, Mail
from tests import rows
from tests.makers import fund, make_token
from tests.wallets.places import COIN, practice_place, rules
from tests.wallets.test_withdrawals import Counter, _limits, counter, make_proof
from wallets import beneficiaries, ledger, queries, transfers, valuation, withdrawals
from wallets.models.deposits import Deposit
from wallets.models.ledger import Entry
from wallets.models.transfers import Transfer
from wallets.withdrawals import Source

__all__ = ["counter"]  # a fixture


@dataclass
class Purse:
    """Alice, with ten coins and a limit; she pays Bob where nothing else is said."""

    member: Member
    bob: Member

    def pay(self, amount: str = "1", **terms: Any) -> Transfer:
        terms.setdefault("recipient", self.bob.sn)
        terms.setdefault("now", timezone.now())
        terms.setdefault("source", Source(proof=make_proof(self.member, terms["now"])))
        return transfers.place(
            sender=self.member, currency=COIN, amount=Decimal(amount), **terms
        )

    def have(self) -> list[Decimal]:
        """Return what the two have available."""
        return [queries.balance(each.pk, COIN).available for each in self.both]

    @property
    def both(self) -> tuple[Member, Member]:
        return self.member, self.bob


@pytest.fixture(autouse=True)
def _prices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(valuation, "sources", [lambda _currency, _in: Decimal(100)])


@pytest.fixture
def purse(alice: Member, bob: Member) -> Purse:
    fund(alice, f"10 {COIN}")
    _limits("100000", "200000")
    return Purse(alice, bob)


def key_of(member: Member) -> ApiToken:
    issued = make_token(member, scopes=["withdraw"], trusted_ips=["127.0.0.1"])
    return issued.token


def body_of(row: Mail) -> str:
    read = mail.read(row)
    assert read is not None
    return str(read.text)


# --- Paying --------------------------------------------------------------------------


def test_it_is_there_at_once_and_whole(purse: Purse) -> None:
    row = purse.pay("2.5", note=" for  lunch ")

    assert purse.have() == [Decimal("7.5"), Decimal("2.5")]
    assert (row.recipient, row.value, row.note) == (purse.bob, 250, "for lunch")
    entry = Entry.objects.get(reason="transfer")
    assert (entry.reference, entry.amount) == (f"transfer:{row.pk}", Decimal("2.5"))
    told = AuditRecord.objects.get(action="transfer_placed")
    assert told.facts["recipient"] == f"member:{purse.bob.pk}"


def test_open_pages_of_both_are_told(
    purse: Purse, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(bus, "announce", lambda topic, news: told.append((topic, news)))

    with pytest.raises(ledger.InsufficientFunds):
        purse.pay("11")
    assert told == []

    purse.pay("2.5")
    assert told == [
        ("balances", {"balances_of": sorted([each.pk for each in purse.both])})
    ]


@pytest.mark.parametrize(
    "written", ["bob@example.com", " Bob@Example.com ", "sn", "sn in small letters"]
)
def test_a_recipient_is_named_by_number_or_address(purse: Purse, written: str) -> None:
    numbers = {"sn": purse.bob.sn, "sn in small letters": purse.bob.sn.lower()}

    row = purse.pay(recipient=numbers.get(written, written))

    assert row.recipient == purse.bob


def test_both_hear_of_it_and_the_note_stays_on_the_page(purse: Purse) -> None:
    purse.pay("2", note="win a prize at evil.example")

    received, sent = Mail.objects.order_by("-pk")[:2]
    assert (sent.to, received.to) == ("alice@example.com", "bob@example.com")
    assert sent.subject == "Transfer of 2.0 LTC"
    assert received.subject == "A member sent you 2.0 LTC"
    assert "/freeze/" in body_of(sent)
    assert "/freeze/" not in body_of(received)
    for each in (sent, received):
        assert "evil.example" not in body_of(each)
    assert "alice@example.com" not in body_of(received)


def test_what_is_received_need_not_be_heard_of(purse: Purse) -> None:
    muted = ["transfer_received", "transfer_sent"]
    Member.objects.update(muted_notices=muted)

    purse.pay()

    new = Mail.objects.filter(subject__contains="1.0 LTC")
    assert [row.to for row in new] == ["alice@example.com"]


@pytest.mark.parametrize(
    ("amount", "error"),
    [
        ("0", ledger.BadAmount),
        ("-1", ledger.BadAmount),
        ("0.0000000001", ledger.BadAmount),
        ("NaN", Exception),
        ("10.00000001", ledger.InsufficientFunds),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    purse: Purse, amount: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        purse.pay(amount)

    assert purse.have() == [10, 0]
    assert not Transfer.objects.exists()


def test_an_unknown_currency_and_a_bad_note_are_refused(purse: Purse) -> None:
    terms: dict[str, Any] = {
        "sender": purse.member,
        "recipient": purse.bob.sn,
        "amount": Decimal(1),
        "source": Source(proof=make_proof(purse.member)),
        "now": timezone.now(),
    }
    with pytest.raises(ledger.UnknownCurrency):
        transfers.place(currency="xyz", **terms)
    with pytest.raises(transfers.BadNote):
        transfers.place(currency=COIN, note="x" * 141, **terms)
    with pytest.raises(words.Unseen):
        transfers.place(currency=COIN, note="a\u202eb", **terms)
    for client_id in ("", "a b", "x" * 65, "\0"):
        with pytest.raises(transfers.BadClientId):
            transfers.place(currency=COIN, client_id=client_id, **terms)


# --- By whose word -------------------------------------------------------------------


@pytest.mark.promise("S-30", "S-20")
def test_only_a_fresh_code_of_ones_own_for_this_is_one(purse: Purse) -> None:
    old = timezone.now() - timedelta(minutes=6)
    for source in (
        Source(),
        Source(proof=make_proof(purse.bob)),
        Source(proof=make_proof(purse.member, old)),
        Source(proof=make_proof(purse.member, purpose=Proof.Purpose.SECURITY)),
        Source(token=key_of(purse.bob)),
    ):
        with pytest.raises(withdrawals.NoProof):
            purse.pay(source=source)
    assert purse.have() == [10, 0]


@pytest.mark.promise("S-30")
def test_a_transfer_points_at_the_code_or_key_that_allowed_it(purse: Purse) -> None:
    proof, token = make_proof(purse.member), key_of(purse.member)

    assert purse.pay(source=Source(proof=proof)).proof == proof
    assert purse.pay(source=Source(token=token)).token == token
    with pytest.raises(IntegrityError, match="a_transfer_has_a_proof_or_a_key"):
        Transfer.objects.create(
            sender=purse.member,
            recipient=purse.bob,
            currency_id=COIN,
            amount=1,
            value=1,
            is_by_address=False,
            at=timezone.now(),
        )


@pytest.mark.promise("S-30")
@pytest.mark.broken_books  # see pay_once of the withdrawals
def test_a_code_is_good_for_one_transfer_or_one_withdrawal(
    counter: Counter, bob: Member
) -> None:
    purse = Purse(counter.member, bob)
    source = Source(proof=make_proof(counter.member))
    purse.pay(source=source)
    with pytest.raises(withdrawals.ProofUsed):
        purse.pay(source=source)
    with pytest.raises(withdrawals.ProofUsed):
        counter.place(source=source)

    source = Source(proof=make_proof(counter.member))
    counter.place(source=source)
    with pytest.raises(withdrawals.ProofUsed):
        purse.pay(source=source)
    assert purse.have() == [8, 1]


@pytest.mark.promise("S-34")
def test_after_a_change_of_credentials_transfers_rest(
    purse: Purse, settings: Any
) -> None:
    settings.WITHDRAWAL_REST_HOURS = 24
    now = timezone.now()
    here = Member.objects.filter(pk=purse.member.pk)
    here.update(security_changed_at=now)
    with pytest.raises(withdrawals.Resting):
        purse.pay(now=now + timedelta(hours=25))  # our clock is not asked
    here.update(security_changed_at=now - timedelta(hours=24))
    purse.pay()


def test_the_frozen_and_the_unconfirmed_pay_nobody(purse: Purse) -> None:
    Member.objects.filter(pk=purse.member.pk).update(activated_at=None)
    with pytest.raises(AddressNotConfirmed):
        purse.pay()
    members.freeze(member=purse.member, by="operator:1", reason="a test")
    with pytest.raises(beneficiaries.Frozen):
        purse.pay()


@pytest.mark.promise("I-15", "R-2", "R-3")
def test_the_same_id_is_the_same_transfer(purse: Purse, mallory: Member) -> None:
    first = purse.pay(client_id="a", note="rent")

    for named in (purse.bob.sn, f" {purse.bob.sn.lower()}"):
        assert purse.pay(client_id="a", note="rent", recipient=named) == first
    for other in (
        {"amount": "2", "note": "rent"},
        {"note": "rents"},
        {"note": "rent", "recipient": mallory.sn},
        {"note": "rent", "recipient": "nobody@example.com"},
        # Else one could find out whose number it is.
        {"note": "rent", "recipient": purse.bob.email},
    ):
        with pytest.raises(transfers.SameIdOtherTerms):
            purse.pay(client_id="a", **other)
    assert purse.have() == [9, 1]


# --- Limits --------------------------------------------------------------------------


@pytest.mark.promise("S-36")
@pytest.mark.broken_books
def test_transfers_and_withdrawals_count_for_one_limit(
    counter: Counter, bob: Member
) -> None:
    purse, now = Purse(counter.member, bob), timezone.now()
    _limits("300", "400")
    counter.place("1", now=now)
    purse.pay("1", now=now)
    with pytest.raises(withdrawals.LimitReached) as refusal:
        purse.pay("1.01", now=now)
    assert refusal.value.facts["left_24h"] == "100.0"
    with pytest.raises(withdrawals.LimitReached):
        counter.place("1.01", now=now)
    counter.place("1", now=now)
    with pytest.raises(withdrawals.LimitReached):
        purse.pay("0.01", now=now + timedelta(hours=23))
    tomorrow = now + timedelta(hours=25)
    purse.pay("1", now=tomorrow)
    left = withdrawals.left_of(counter.member, now=tomorrow)
    assert [left.day, left.month] == [200, 0]


def test_what_one_receives_is_no_part_of_ones_limit(purse: Purse) -> None:
    now = timezone.now()
    before = withdrawals.left_of(purse.bob, now=now)
    purse.pay(now=now)
    assert withdrawals.left_of(purse.bob, now=now) == before


def test_without_a_price_it_is_refused(
    purse: Purse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(valuation, "sources", [])
    with pytest.raises(transfers.NoPrice):
        purse.pay()
    assert purse.have() == [10, 0]


def test_what_may_yet_be_taken_back_is_not_passed_on(purse: Purse) -> None:
    place = practice_place()
    rules(("0", 1))
    place.pay(purse.member, "1")
    place.mine()
    place.scan()
    purse.pay("10", client_id="a")
    Deposit.objects.update(confirmations=0)
    with pytest.raises(transfers.ShakyDeposit):
        purse.pay("0.1")
    purse.pay("10", client_id="a")  # that is done


# --- Who learns of whom --------------------------------------------------------------


@pytest.mark.parametrize(
    "typed", ["", "bob", "PEA1TIO", "PEAAAAAAAA1TIO", "bob@", "1", "a" * 999]
)
def test_what_names_nobody_is_malformed(purse: Purse, typed: str) -> None:
    with pytest.raises(transfers.BadRecipient):
        purse.pay(recipient=typed)


def test_who_cannot_be_paid_is_unknown(purse: Purse) -> None:
    nobodys = ["PEAAAAAAAAATIO", "nobody@example.com"]
    for typed in nobodys:
        with pytest.raises(transfers.UnknownRecipient):
            purse.pay(recipient=typed)
    for how in ({"activated_at": None}, {"state": "frozen"}, {"state": "closed"}):
        here = Member.objects.filter(pk=purse.bob.pk)
        before = here.values(*how).get()
        here.update(**how)
        for typed in (purse.bob.sn, purse.bob.email):
            with pytest.raises(transfers.UnknownRecipient):
                purse.pay(recipient=typed)
        with pytest.raises(transfers.UnknownRecipient):
            transfers.look_up(purse.member, purse.bob.sn)
        here.update(**before)
    assert purse.have() == [10, 0]


def test_nobody_pays_themselves(purse: Purse) -> None:
    for typed in (purse.member.sn, purse.member.email):
        with pytest.raises(transfers.OwnAccount):
            purse.pay(recipient=typed)
        with pytest.raises(transfers.OwnAccount):
            transfers.look_up(purse.member, typed)


@pytest.mark.promise("S-9")
def test_before_a_code_an_address_tells_nothing(purse: Purse) -> None:
    Member.objects.filter(pk=purse.bob.pk).update(display_name="Robert Bobson")
    for typed in ("bob@example.com", "nobody@example.com"):
        assert transfers.look_up(purse.member, typed) == ""
    assert transfers.look_up(purse.member, purse.bob.sn) == "R… B…"
    with pytest.raises(transfers.UnknownRecipient):
        transfers.look_up(purse.member, "PEAAAAAAAAATIO")


@pytest.mark.parametrize(
    "spoilt", ["proof", "amount", "limit", "price", "rest", "mails"]
)
def test_whatever_else_is_wrong_is_said_before_an_address_is_looked_at(
    purse: Purse, spoilt: str, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    terms: dict[str, Any] = {}
    match spoilt:
        case "proof":
            terms["source"] = Source()
        case "amount":
            terms["amount"] = "11"
        case "limit":
            _limits("1", "1")
        case "price":
            monkeypatch.setattr(valuation, "sources", [])
        case "rest":
            settings.WITHDRAWAL_REST_HOURS = 24
            Member.objects.update(security_changed_at=timezone.now())
        case "mails":
            monkeypatch.setattr(throttling, "MAILS_PER_MEMBER", 0)

    said = set()
    for typed in ("bob@example.com", "nobody@example.com"):
        with pytest.raises(ExchangeError) as refusal:
            purse.pay(recipient=typed, **terms)
        said.add((type(refusal.value), str(refusal.value)))
    assert len(said) == 1
    assert transfers.UnknownRecipient not in {kind for kind, _ in said}


def test_many_addresses_are_not_tried(purse: Purse, mallory: Member) -> None:
    now = timezone.now()
    purse.pay(recipient=mallory.sn, now=now)  # whose address may yet be unknown
    purse.pay(recipient=purse.bob.email, now=now)
    for number in range(throttling.STRANGERS_PER_MEMBER - 1):
        with pytest.raises(transfers.UnknownRecipient):
            purse.pay(recipient=f"nobody{number}@example.com", now=now)
    for typed in ("nobody@example.com", "olive@example.com"):
        with pytest.raises(throttling.LimitReached):
            purse.pay(recipient=typed, now=now)
    with pytest.raises(throttling.LimitReached):
        purse.pay(recipient=mallory.email, now=now)
    # Whom one has paid is no guess, and neither is a number.
    purse.pay(recipient=purse.bob.email, now=now)
    with pytest.raises(transfers.UnknownRecipient):
        purse.pay(recipient="PEAAAAAAAAATIO", now=now)


# --- What stays ----------------------------------------------------------------------


def test_the_export_has_both_sides_with_numbers_only(purse: Purse) -> None:
    purse.pay("2", note="rent", client_id="a")

    (sent,) = exports.parts["transfers"](purse.member)
    (received,) = exports.parts["transfers"](purse.bob)

    assert (sent["direction"], sent["member"]) == ("sent", purse.bob.sn)
    assert (received["direction"], received["member"]) == ("received", purse.member.sn)
    assert (sent["client_id"], received["client_id"]) == ("a", None)
    assert [each["amount"] for each in (sent, received)] == ["2.0", "2.0"]


@pytest.mark.promise("I-16")
def test_a_transfer_is_never_changed(purse: Purse) -> None:
    purse.pay()
    for deed in (
        "UPDATE wallets_transfer SET amount = 2",
        "DELETE FROM wallets_transfer",
    ):
        with pytest.raises(Exception, match="append-only"):
            rows.write_as_owner(deed)
