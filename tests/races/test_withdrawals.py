"""One balance, one limit, many withdrawals at the same moment."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from functools import partial
from threading import Barrier

import pytest
from django.utils import timezone

from accounts import members
from accounts.models.identity import IdentityLevel
from accounts.models.members import Member
from exchange import invariants
from exchange.lib import states
from exchange.lib.errors import ExchangeError
from exchange.lib.states import IllegalMove, advance
from exchange.lib.transactions import transaction
from markets.models import Order
from tests import rows
from tests.makers import fund
from tests.markets.desk import Desk
from tests.races.crowd import at_once, count
from tests.wallets.places import COIN, practice_place, rules
from tests.wallets.test_withdrawals import book, build, make_proof
from wallets import ledger, queries, valuation, withdrawals
from wallets.ledger import InsufficientFunds
from wallets.models.withdrawals import Beneficiary, Withdrawal
from wallets.withdrawals import Left, LimitReached, Source

pytestmark = [pytest.mark.races, pytest.mark.broken_books]

THREADS = 50
D = Decimal


@pytest.fixture
def beneficiary(alice: Member, monkeypatch: pytest.MonkeyPatch) -> Beneficiary:
    """Have a fee of nothing, a price of one, and ten coins to withdraw."""
    monkeypatch.setattr(valuation, "sources", [lambda _currency, _in: D(1)])
    practice_place()
    rules(("0", 1), automatic_up_to=D(100))
    fund(alice, f"10 {COIN}")
    return book(alice)


def place(beneficiary: Beneficiary, amount: str) -> Withdrawal:
    return withdrawals.place(
        member=beneficiary.member,
        beneficiary=beneficiary,
        amount=D(amount),
        source=Source(proof=make_proof(beneficiary.member)),
        now=timezone.now(),
    )


def limit(amount: str) -> None:
    IdentityLevel.objects.update(withdrawal_24h=D(amount), withdrawal_30d=D(amount))


@pytest.mark.promise("R-36")
def test_a_limit_is_passed_without_the_lock(
    beneficiary: Beneficiary, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The control: the same verb, which locks everything but the member. If this does not
    pass the limit, the test below proves nothing.
    """
    limit("3")
    others = [book(beneficiary.member) for _ in range(3)]
    everybody_has_read = Barrier(4, timeout=30)
    look = withdrawals.left_of

    def look_together(member: Member, *, now: datetime) -> Left:
        left = look(member, now=now)
        everybody_has_read.wait()
        return left

    monkeypatch.setattr(members, "lock_member", lambda member: member)
    monkeypatch.setattr(withdrawals, "left_of", look_together)
    results = at_once(*(partial(place, each, "1") for each in [beneficiary, *others]))
    assert count(results, Withdrawal) == 4  # of three


@pytest.mark.promise("R-36", "S-36")
def test_a_limit_holds_when_fifty_race_for_it(beneficiary: Beneficiary) -> None:
    limit("3")
    results = at_once(*[partial(place, beneficiary, "1")] * THREADS)
    assert count(results, Withdrawal) == 3
    assert count(results, LimitReached) == THREADS - 3
    assert queries.balance(beneficiary.member_id, COIN).locked == 3


@pytest.mark.promise("R-50", "S-72")
def test_a_balance_is_withdrawn_once_by_fifty(beneficiary: Beneficiary) -> None:
    limit("1000")
    results = at_once(*[partial(place, beneficiary, "10")] * THREADS)
    assert count(results, Withdrawal) == 1
    assert count(results, ExchangeError) == THREADS - 1
    row = queries.balance(beneficiary.member_id, COIN)
    assert [row.available, row.locked] == [0, 10]


@pytest.mark.promise("R-50")
def test_a_balance_is_spent_twice_through_two_doors_without_the_lock(
    beneficiary: Beneficiary,
) -> None:
    """The control: if this does not overspend, the test below proves nothing."""
    doors, amount = 4, D(8)
    everybody_has_read = Barrier(doors, timeout=30)
    account = ledger.accounts_of(member_ids={beneficiary.member_id}, currencies=[COIN])[
        beneficiary.member_id, COIN
    ]

    def spend_naively() -> bool:
        available = queries.balance(beneficiary.member_id, COIN).available
        everybody_has_read.wait()
        if available < amount:
            return False
        rows.write(
            "UPDATE wallets_balance SET available = %s, locked = locked + %s"
            " WHERE account_id = %s",
            available - amount,
            amount,
            account,
        )
        return True

    assert at_once(*[spend_naively] * doors).count(True) == doors
    assert queries.balance(beneficiary.member_id, COIN).locked == 32  # of ten


@pytest.mark.promise("R-50", "I-4")
def test_a_balance_is_spent_once_by_orders_and_withdrawals_together(
    beneficiary: Beneficiary,
) -> None:
    limit("1000")
    desk = Desk("ltccny")
    half = THREADS // 2
    results = at_once(
        *[partial(place, beneficiary, "1")] * half,
        *[partial(desk.sell, beneficiary.member, "1", at="655")] * half,
    )
    taken = count(results, Withdrawal) + count(results, Order)
    assert (taken, count(results, InsufficientFunds)) == (10, THREADS - 10)
    row = queries.balance(beneficiary.member_id, COIN)
    assert [row.available, row.locked] == [0, 10]
    assert invariants.check_all() == []


@pytest.mark.promise("S-39")
def test_it_is_cancelled_and_built_without_the_lock(
    beneficiary: Beneficiary, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: the money is given back, and the payment is being built."""
    limit("1000")
    row = approved(beneficiary)
    both_have_read = Barrier(2, timeout=30)

    def read(row: Withdrawal) -> Withdrawal:
        return Withdrawal.objects.get(pk=row.pk)

    def read_together(row: Withdrawal) -> Withdrawal:
        fresh = read(row)
        both_have_read.wait()
        return fresh

    monkeypatch.setattr(withdrawals, "lock_row", read)
    monkeypatch.setattr(states, "lock_row", read_together)
    results = at_once(partial(build, row), partial(cancel, row))
    assert count(results, Withdrawal) == 2
    assert queries.balance(beneficiary.member_id, COIN).locked == 0


@pytest.mark.promise("S-39")
def test_it_is_cancelled_or_built_and_never_both(beneficiary: Beneficiary) -> None:
    limit("1000")
    for _ in range(5):
        row = approved(beneficiary)
        results = at_once(partial(build, row), partial(cancel, row))
        assert count(results, IllegalMove) == 1
        row.refresh_from_db()
        assert row.state in {"cancelled", "building"}
        locked = queries.balance(beneficiary.member_id, COIN).locked
        assert locked == _building()


def approved(beneficiary: Beneficiary) -> Withdrawal:
    row = place(beneficiary, "1")
    with transaction():
        return advance(row, "approve", by="system")


def cancel(row: Withdrawal) -> Withdrawal:
    return withdrawals.cancel(withdrawal=row, by="member:1", now=timezone.now())


def _building() -> Decimal:
    rows = Withdrawal.objects.filter(state="building")
    return sum((row.amount for row in rows), D(0))
