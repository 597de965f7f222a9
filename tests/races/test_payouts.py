"""Two workers, one withdrawal: it is paid once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from functools import partial
from threading import Barrier

import pytest

from accounts.models.members import Member
from tests.races.crowd import at_once
from tests.wallets.cashier import Cashier, crowd, practice_cashier
from wallets import payouts
from wallets.chains.base import Outpoint, Payment
from wallets.models.withdrawals import PayoutTransaction, SpentCoin, Withdrawal

pytestmark = pytest.mark.races

D = Decimal
WORKERS = 4


@pytest.fixture
def cashier(db: None) -> Cashier:
    return practice_cashier()


@pytest.mark.broken_books
@pytest.mark.promise("F-37")
def test_it_is_paid_twice_without_lock_and_rows(
    cashier: Cashier, alice: Member
) -> None:
    """The control: if this pays once, the tests below prove nothing."""
    cashier.deposit(alice, *["2"] * WORKERS)
    withdrawal = cashier.approved(alice, "1")
    coins = [coin.outpoint for coin in cashier.chain.coins()]
    everybody_has_read = Barrier(WORKERS, timeout=30)

    def pay_naively(mine: Outpoint) -> None:
        (row,) = Withdrawal.objects.filter(state="approved")
        everybody_has_read.wait()
        signed = cashier.chain.build_signed(
            [Payment(row.destination, row.net)],
            fee_rate=D("0.001"),
            avoid=[each for each in coins if each != mine],
        )
        cashier.chain.broadcast(signed.raw)
        Withdrawal.objects.filter(pk=row.pk).update(state="broadcast")

    at_once(*(partial(pay_naively, coin) for coin in coins))
    cashier.world.mine()

    assert cashier.paid(withdrawal.destination) == [1] * WORKERS


@pytest.mark.promise("F-37", "I-11")
@pytest.mark.parametrize("meeting", [False, True])
def test_many_workers_pay_once(
    cashier: Cashier, monkeypatch: pytest.MonkeyPatch, meeting: bool
) -> None:
    """By turns; and, where the turns fail (a session cut off), by the fence alone."""
    crowd(cashier, 6)
    cashier.fill(*["3"] * WORKERS)
    if meeting:
        monkeypatch.setattr(payouts, "turn", everybody)

    for _ in range(6):
        cashier.now += timedelta(minutes=2)
        work = partial(payouts.run, "btc", now=cashier.now)
        at_once(*[work] * WORKERS)
        cashier.world.mine()
    monkeypatch.undo()
    cashier.finish()

    assert cashier.states() == {"confirmed": 6}
    spent = SpentCoin.objects.values_list("txid", "vout")
    assert len(spent) == len(set(spent))
    assert PayoutTransaction.objects.count() <= 6
    for withdrawal in Withdrawal.objects.all():
        assert cashier.paid(withdrawal.destination) == [withdrawal.net]


@contextlib.contextmanager
def everybody(_currency: str) -> Iterator[bool]:
    yield True
