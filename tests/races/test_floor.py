"""Intake, cancels and settlement at once: one outcome each, and no deadlock."""

from __future__ import annotations

from functools import partial
from threading import Event

import pytest

from accounts.models.members import Member
from exchange.lib.errors import ExchangeError
from markets import orders
from markets.models import Order, Trade
from tests import rows
from tests.makers import fund
from tests.markets.desk import NOW, Desk, purse
from tests.races.crowd import at_once

pytestmark = pytest.mark.races


@pytest.mark.promise("F-29", "I-5", "R-4")
def test_it_gives_each_order_one_end_when_cancel_and_fill_meet(
    alice: Member, bob: Member
) -> None:
    desk = Desk()
    fund(alice, "20 btc")
    fund(bob, "2000 cny")
    resting = [desk.sell(alice, "1", at="100") for _ in range(20)]
    desk.run()
    done = Event()

    def buy_all() -> None:
        for _ in resting:
            desk.buy(bob, "1", at="100")

    def cancel_all() -> None:
        # From the other end, so that they meet in the middle.
        for order in reversed(resting):
            desk.cancel(order)

    def settle() -> None:
        while not done.is_set():
            desk.run()

    def trade_and_stop() -> None:
        try:
            buy_all()
        finally:
            done.set()

    results = at_once(trade_and_stop, cancel_all, settle)
    desk.run()

    assert results == [None] * 3
    ends = list(
        Order.objects.filter(member_id=alice.pk).values_list("state", flat=True)
    )
    sold = ends.count("filled")
    assert sold + ends.count("cancelled") == len(resting)
    assert Trade.objects.count() == sold
    assert purse(alice, "btc") == (20 - sold, 0)
    # What an order locked came back once: its entries say so.
    assert (
        rows.read(
            "SELECT reference FROM wallets_entry WHERE reason = 'order_closed'"
            " GROUP BY reference HAVING count(*) > 1"
        )
        == []
    )


@pytest.mark.promise("R-1", "F-13", "P-7")
def test_it_never_deadlocks(alice: Member, bob: Member, mallory: Member) -> None:
    people = (alice, bob, mallory)
    for member in people:
        fund(member, "10 btc", "10000 cny")
    desk, other = Desk(), Desk("btcusd")
    done = Event()

    def trade(member: Member) -> None:
        for number in range(12):
            price = str(99 + number % 3)
            desk.buy(member, "0.1", at=price)
            desk.sell(member, "0.1", at=price)
            other.sell(member, "0.1", at=price)

    def change_minds() -> None:
        while not done.is_set():
            for member in people:
                orders.cancel_all(member=member, now=NOW)

    def settle(where: Desk) -> None:
        while not done.is_set():
            where.run()

    def trade_all_and_stop() -> list[ExchangeError | None]:
        try:
            return at_once(*[partial(trade, member) for member in people])
        finally:
            done.set()

    results = at_once(
        trade_all_and_stop,
        change_minds,
        partial(settle, desk),
        partial(settle, other),
    )

    assert results == [[None] * 3, None, None, None]
    orders.cancel_all(member=alice, now=NOW)
    desk.run()
    other.run()
    assert not Order.objects.filter(state="pending").exists()
