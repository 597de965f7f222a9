"""One balance, one limit, many withdrawals at the same moment."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from threading import Barrier

import pytest
from django.utils import timezone

from accounts.models.identity import IdentityLevel
from accounts.models.members import Member
from exchange.lib.errors import ExchangeError
from exchange.lib.states import IllegalMove, advance
from exchange.lib.transactions import transaction
from tests.makers import fund
from tests.races.crowd import at_once, count
from tests.wallets.places import COIN, practice_place, rules
from tests.wallets.test_withdrawals import book, build, make_proof
from wallets import queries, valuation, withdrawals
from wallets.models.withdrawals import Beneficiary, Withdrawal
from wallets.withdrawals import LimitReached, Source

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
def test_a_limit_that_is_only_looked_at_is_passed(beneficiary: Beneficiary) -> None:
    """The control: if this does not pass the limit, the test below proves nothing."""
    limit("3")
    everybody_has_read = Barrier(4, timeout=30)

    def place_naively() -> bool:
        left = withdrawals.left_of(beneficiary.member, now=timezone.now())
        everybody_has_read.wait()
        return left.day >= 1

    assert at_once(*[place_naively] * 4).count(True) == 4  # of three


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


@pytest.mark.promise("S-39")
def test_it_is_cancelled_or_built_and_never_both(beneficiary: Beneficiary) -> None:
    limit("1000")
    for _ in range(5):
        row = place(beneficiary, "1")
        if row.state == "review":
            with transaction():
                row = advance(row, "approve", by="system")

        def cancel(row: Withdrawal = row) -> Withdrawal:
            now = timezone.now()
            return withdrawals.cancel(withdrawal=row, by="member:1", now=now)

        results = at_once(partial(build, row), cancel)
        assert count(results, IllegalMove) == 1
        row.refresh_from_db()
        assert row.state in {"cancelled", "building"}
        locked = queries.balance(beneficiary.member_id, COIN).locked
        assert locked == _building()


def _building() -> Decimal:
    rows = Withdrawal.objects.filter(state="building")
    return sum((row.amount for row in rows), D(0))
