"""Withdrawals up to their approval: rules, limits, doubts, and who decides."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from accounts import links, members, proofs
from accounts.models.identity import IdentityLevel
from accounts.models.members import Member
from accounts.models.proofs import Proof
from accounts.standing import AddressNotConfirmed
from exchange.lib import mail
from exchange.lib.models import Mail
from exchange.lib.states import IllegalMove, advance
from exchange.lib.transactions import transaction
from tests.accounts.mailbox import token
from tests.makers import fund, make_token
from tests.nodes import Node, RegtestWorld
from tests.wallets.cashier import node_cashier
from tests.wallets.places import COIN, practice_place, rules
from wallets import audit, beneficiaries, ledger, queries, valuation, withdrawals
from wallets.chains.practice import Practice
from wallets.models.currencies import Currency
from wallets.models.withdrawals import Beneficiary, Payout, Withdrawal
from wallets.withdrawals import Source

PRICE = Decimal(100)  # what a coin is worth in the currency of limits


@dataclass
class Counter:
    """Alice at the counter: she owns coins, and somebody is in her address book."""

    member: Member
    beneficiary: Beneficiary

    def place(self, amount: str = "1", **terms: Any) -> Withdrawal:
        terms.setdefault("now", timezone.now())
        terms.setdefault("source", Source(proof=make_proof(self.member, terms["now"])))
        return withdrawals.place(
            member=self.member,
            beneficiary=self.beneficiary,
            amount=Decimal(amount),
            **terms,
        )

    def purse(self) -> tuple[Decimal | int, Decimal | int]:
        row = queries.balance(self.member.pk, COIN)
        return row.available, row.locked


@pytest.fixture(autouse=True)
def _prices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(valuation, "sources", [lambda _currency, _in: PRICE])


@pytest.fixture
def counter(alice: Member) -> Counter:
    practice_place()
    rules(("0", 1), withdrawal_fee=Decimal("0.01"), automatic_up_to=Decimal(5))
    fund(alice, f"10 {COIN}")
    _limits("100000", "200000")
    found = Counter(alice, book(alice))
    pay_once(found)
    return found


def book(member: Member, destination: str | None = None) -> Beneficiary:
    """Have a beneficiary that is confirmed and rested."""
    text = destination or Practice(COIN).outside_address()
    row = add(member, text)
    link = _link(row)
    return beneficiaries.confirm(link, row.pk)


def add(member: Member, destination: str) -> Beneficiary:
    return beneficiaries.add(
        member=member,
        currency=Currency.objects.get(pk=COIN),
        label="my wallet",
        destination=destination,
        now=timezone.now(),
    )


def pay_once(counter: Counter) -> None:
    """Let the beneficiary be somebody who was paid before; take the trace away."""
    row = counter.place("0.02")
    assert row.doubts == ["new_beneficiary"]
    row = withdrawals.cancel(withdrawal=row, by="member:1", now=timezone.now())
    Withdrawal.objects.filter(pk=row.pk).update(
        state="confirmed", created_at=timezone.now() - timedelta(days=60)
    )


# It makes the trace by hand: see pay_once.
pytestmark = pytest.mark.broken_books


def _limits(day: str, month: str) -> None:
    IdentityLevel.objects.update(
        withdrawal_24h=Decimal(day), withdrawal_30d=Decimal(month)
    )


def _link(row: Beneficiary) -> str:
    return token(row.member.email, "confirm")


def make_proof(
    member: Member,
    now: datetime | None = None,
    purpose: Proof.Purpose = Proof.Purpose.WITHDRAWAL,
) -> Proof:
    with transaction():
        return proofs.record(
            member=member,
            session_key="a",
            purpose=purpose,
            factor=Proof.Factor.TOTP,
            now=now or timezone.now(),
        )


def build(row: Withdrawal) -> Withdrawal:
    """Let a payout take it."""
    now = timezone.now()
    payout = Payout.objects.create(currency_id=COIN, created_at=now)
    with transaction():
        return advance(row, "build", by="system", payout=payout.pk)


# --- Placing -------------------------------------------------------------------------


def test_without_doubts_it_is_approved_and_the_money_set_aside(
    counter: Counter,
) -> None:
    row = counter.place("2")
    assert (row.state, row.doubts) == ("approved", [])
    assert (row.amount, row.fee, row.net) == (2, Decimal("0.01"), Decimal("1.99"))
    assert row.value == 200
    assert counter.purse() == (8, 2)
    assert Mail.objects.order_by("-pk")[0].subject == "Withdrawal of 2.0 LTC"


@pytest.mark.parametrize(
    ("amount", "error"),
    [
        ("0", withdrawals.BadWithdrawal),
        ("-1", withdrawals.BadWithdrawal),
        ("0.010999", withdrawals.BadWithdrawal),
        ("0.123456789", withdrawals.BadWithdrawal),
        ("10.00000001", ledger.InsufficientFunds),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    counter: Counter, amount: str, error: type[Exception]
) -> None:
    before = Withdrawal.objects.count()
    with pytest.raises(error):
        counter.place(amount)
    assert counter.purse() == (10, 0)
    assert Withdrawal.objects.count() == before


def test_a_paused_currency_pays_nothing(counter: Counter) -> None:
    rules(("0", 1), pays_withdrawals=False)
    with pytest.raises(withdrawals.WithdrawalsClosed):
        counter.place()


def test_a_frozen_member_withdraws_nothing(counter: Counter) -> None:
    members.freeze(member=counter.member, by="operator:1", reason="a test")
    with pytest.raises(beneficiaries.Frozen):
        counter.place()


def test_no_cool_off_passes_while_a_member_is_frozen(counter: Counter) -> None:
    row = add(counter.member, Practice(COIN).outside_address())
    link = _link(row)
    members.freeze(member=counter.member, by="member", reason="somebody was inside")
    with pytest.raises(beneficiaries.Frozen):
        beneficiaries.confirm(link, row.pk)
    assert Beneficiary.objects.get(pk=row.pk).state == "unconfirmed"
    members.thaw(member=counter.member, by="operator:1", reason="a test")
    assert beneficiaries.confirm(link, row.pk).state == "confirmed"


@pytest.mark.promise("S-34")
def test_after_a_change_of_credentials_withdrawals_rest(
    counter: Counter, settings: Any
) -> None:
    settings.WITHDRAWAL_REST_HOURS = 24
    now = timezone.now()
    Member.objects.filter(pk=counter.member.pk).update(security_changed_at=now)
    with pytest.raises(withdrawals.Resting) as refusal:
        counter.place(now=now + timedelta(hours=25))  # our clock is not asked
    assert refusal.value.facts["until"] == (now + timedelta(hours=24)).isoformat()
    yesterday = now - timedelta(hours=24)
    Member.objects.filter(pk=counter.member.pk).update(security_changed_at=yesterday)
    assert counter.place().doubts == ["after_change"]


@pytest.mark.promise("S-38")
def test_what_was_shown_is_what_is_done(counter: Counter) -> None:
    shown = withdrawals.terms_of(COIN, Decimal(2))
    rules(("0", 1), withdrawal_fee=Decimal("0.02"), automatic_up_to=Decimal(5))
    with pytest.raises(withdrawals.NotShown):
        counter.place("2", shown=shown)
    assert counter.purse() == (10, 0)


@pytest.mark.promise("S-30", "S-20")
def test_only_a_fresh_code_of_ones_own_for_a_withdrawal_is_one(
    counter: Counter, bob: Member
) -> None:
    old = timezone.now() - timedelta(minutes=6)
    for source in (
        Source(),
        Source(proof=make_proof(bob)),
        Source(proof=make_proof(counter.member, old)),
        Source(proof=make_proof(counter.member, purpose=Proof.Purpose.SECURITY)),
        Source(token=make_token(bob).token),
    ):
        with pytest.raises(withdrawals.NoProof):
            counter.place(source=source)
    assert counter.purse() == (10, 0)


def test_who_has_not_confirmed_their_address_withdraws_nothing(
    counter: Counter,
) -> None:
    Member.objects.filter(pk=counter.member.pk).update(activated_at=None)
    with pytest.raises(AddressNotConfirmed):
        counter.place()


def test_a_proof_is_good_for_one_withdrawal(counter: Counter) -> None:
    proof = make_proof(counter.member)
    counter.place(source=Source(proof=proof))
    with pytest.raises(withdrawals.ProofUsed):
        counter.place(source=Source(proof=proof))
    assert counter.purse() == (9, 1)


@pytest.mark.promise("I-15", "R-2", "R-3")
def test_the_same_id_is_the_same_withdrawal(counter: Counter) -> None:
    first = counter.place("1", client_id="a")
    assert counter.place("1", client_id="a") == first
    with pytest.raises(withdrawals.SameIdOtherTerms):
        counter.place("2", client_id="a")
    assert counter.purse() == (9, 1)


# --- Limits --------------------------------------------------------------------------


@pytest.mark.promise("S-36")
def test_limits_count_what_is_pending(counter: Counter) -> None:
    _limits("300", "400")
    now = timezone.now()
    counter.place("2", now=now)
    with pytest.raises(withdrawals.LimitReached) as refusal:
        counter.place("1.01", now=now)
    assert refusal.value.facts["left_24h"] == "100.0"
    cancelled = counter.place("1", now=now)
    withdrawals.cancel(withdrawal=cancelled, by="member:1", now=now)
    counter.place("1", now=now)
    with pytest.raises(withdrawals.LimitReached):
        counter.place("0.5", now=now + timedelta(hours=23))
    tomorrow = now + timedelta(hours=25)
    with pytest.raises(withdrawals.LimitReached):
        counter.place("1.01", now=tomorrow)
    counter.place("1", now=tomorrow)
    left = withdrawals.left_of(counter.member, now=tomorrow)
    assert [left.day, left.month] == [200, 0]


def test_without_a_price_an_operator_looks(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(valuation, "sources", [])
    row = counter.place("1")
    assert (row.state, row.doubts) == ("review", ["no_price"])


# --- Doubts and decisions ------------------------------------------------------------


@pytest.mark.promise("S-37")
def test_a_large_one_needs_two_others(
    counter: Counter, olive: Member, bob: Member
) -> None:
    row = counter.place("6")
    assert (row.state, row.doubts) == ("review", ["large"])

    def approve(operator: Member) -> str:
        now = timezone.now()
        done = withdrawals.approve(withdrawal=row, operator=operator, note="", now=now)
        return str(done.state)

    with pytest.raises(withdrawals.OwnWithdrawal):
        approve(counter.member)
    assert approve(olive) == "review"
    assert approve(olive) == "review"
    assert approve(bob) == "approved"


def test_a_first_payment_needs_one(counter: Counter, olive: Member) -> None:
    counter.beneficiary = book(counter.member)
    row = counter.place("1")
    assert (row.state, row.doubts) == ("review", ["new_beneficiary"])
    now = timezone.now()
    row = withdrawals.approve(withdrawal=row, operator=olive, note="ok", now=now)
    assert row.state == "approved"


def test_many_in_an_hour_and_a_new_device_are_doubts(counter: Counter) -> None:
    for _ in range(5):
        assert counter.place("0.1").state == "approved"
    assert counter.place("0.1").doubts == ["velocity"]
    source = Source(proof=make_proof(counter.member), is_new_device=True)
    row = counter.place("0.1", source=source)
    assert row.doubts == ["new_device", "velocity"]


def test_a_refusal_gives_the_money_back_and_says_why(
    counter: Counter, olive: Member
) -> None:
    row = counter.place("6")
    now = timezone.now()
    row = withdrawals.refuse(withdrawal=row, operator=olive, note="no papers", now=now)
    assert (row.state, row.note) == ("refused", "no papers")
    assert counter.purse() == (10, 0)
    body = mail.read(Mail.objects.order_by("-pk")[0])
    assert body is not None
    assert "no papers" in body.text
    with pytest.raises(IllegalMove):
        withdrawals.approve(withdrawal=row, operator=olive, note="", now=now)
    said = Mail.objects.count()
    withdrawals.refuse(withdrawal=row, operator=olive, note="again", now=now)
    assert Mail.objects.count() == said


@pytest.mark.promise("S-39")
def test_it_can_be_cancelled_until_it_is_built(counter: Counter) -> None:
    row = counter.place("1")
    now = timezone.now()
    assert withdrawals.cancel(withdrawal=row, by="member:1", now=now).state == (
        "cancelled"
    )
    withdrawals.cancel(withdrawal=row, by="member:1", now=now)
    assert counter.purse() == (10, 0)

    row = counter.place("1")
    # Only the trace that was made by hand does not agree.
    trace = {found[0] for found in audit.withdrawals_unlike_states()}
    assert len(trace) == 1
    build(row)
    assert {found[0] for found in audit.withdrawals_unlike_states()} == trace
    with pytest.raises(IllegalMove):
        withdrawals.cancel(withdrawal=row, by="member:1", now=now)
    assert counter.purse() == (9, 1)


# --- The address book ----------------------------------------------------------------


@pytest.mark.promise("S-32")
def test_a_new_beneficiary_waits_for_mail_and_time(
    counter: Counter, settings: Any
) -> None:
    settings.BENEFICIARY_COOL_OFF_HOURS = 24
    row = add(counter.member, practice_place().world.outside_address())
    counter.beneficiary = row
    with pytest.raises(withdrawals.NotUsable):
        counter.place()
    link = _link(row)
    row = beneficiaries.confirm(link, row.pk)
    with pytest.raises(links.LinkSpent):
        beneficiaries.confirm(link, row.pk)
    counter.beneficiary = row
    with pytest.raises(withdrawals.NotUsable):
        counter.place(now=timezone.now() + timedelta(hours=25))  # nor is our clock
    rested = timezone.now() - timedelta(seconds=1)
    Beneficiary.objects.filter(pk=row.pk).update(usable_from=rested)
    assert counter.place().state == "review"


def test_a_link_confirms_only_what_it_was_sent_for(
    counter: Counter, bob: Member
) -> None:
    world = practice_place().world
    row = add(counter.member, world.outside_address())
    link = _link(row)
    other = add(counter.member, world.outside_address())
    theirs = add(bob, world.outside_address())
    for wrong in (other, theirs):
        with pytest.raises(links.LinkSpent):
            beneficiaries.confirm(link, wrong.pk)


@pytest.mark.promise("W-30", "W-29")
@pytest.mark.node
def test_an_address_is_kept_as_its_chain_spells_it(
    node: Node, regtest_world: RegtestWorld, settings: Any, alice: Member
) -> None:
    with node_cashier(node, regtest_world, settings, COIN) as cashier:
        new, own = regtest_world.outside_address(), cashier.chain.new_address()
        assert add(alice, new.upper()).destination == new
        with pytest.raises(beneficiaries.KnownDestination):
            add(alice, new)
        with pytest.raises(beneficiaries.OwnAddress):
            add(alice, own.upper())


def test_addresses_are_looked_at_before_they_are_kept(
    counter: Counter, bob: Member
) -> None:
    chain = practice_place().chain
    for wrong in ("", "nowhere", "btcpractice1" + "a" * 40):
        with pytest.raises(beneficiaries.BadDestination):
            add(counter.member, wrong)
    with pytest.raises(beneficiaries.OwnAddress):
        add(counter.member, chain.new_address())
    with pytest.raises(beneficiaries.KnownDestination):
        add(counter.member, counter.beneficiary.destination)


def test_somebody_elses_beneficiary_cannot_be_paid(
    counter: Counter, bob: Member
) -> None:
    counter.beneficiary = book(bob)
    with pytest.raises(withdrawals.NotUsable):
        counter.place()


def test_a_removed_beneficiary_cannot_be_paid(counter: Counter) -> None:
    beneficiaries.remove(member=counter.member, beneficiary=counter.beneficiary)
    with pytest.raises(withdrawals.NotUsable):
        counter.place()
    assert beneficiaries.of(counter.member) == []
