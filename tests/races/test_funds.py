"""One balance, many hands: nobody spends the same money twice."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from threading import Barrier
from time import monotonic

import pytest
from django.db import connection

from accounts.models.members import Member
from exchange.lib.transactions import transaction
from markets import orders
from markets.models import OpenOrders, Order
from markets.orders import TooManyOrders
from tests import rows
from tests.makers import fund
from tests.markets.desk import NOW, Desk, purse
from tests.races.crowd import at_once, count
from wallets import ledger
from wallets.ledger import InsufficientFunds, Move

pytestmark = pytest.mark.races

D = Decimal


@pytest.mark.broken_books
@pytest.mark.promise("R-50")
def test_it_can_be_overspent_without_the_lock(bob: Member) -> None:
    """The control: if this does not overspend, the tests below prove nothing."""
    fund(bob, "10 cny")
    threads, amount = 8, D(4)
    everybody_has_read = Barrier(threads, timeout=30)

    def spend_naively() -> bool:
        available, _ = purse(bob, "cny")
        everybody_has_read.wait()
        if available < amount:
            return False
        rows.write(
            "UPDATE wallets_balance SET available = %s, locked = locked + %s"
            " FROM wallets_account AS account WHERE account.id = account_id"
            " AND account.member_id = %s AND account.currency_id = 'cny'",
            available - amount,
            amount,
            bob.pk,
        )
        return True

    spent = at_once(*[spend_naively] * threads)

    assert spent.count(True) == threads  # eight times four, out of ten
    assert purse(bob, "cny") == (6, 32)


@pytest.mark.promise("R-50", "R-37", "I-3", "S-72")
def test_it_lets_parallel_orders_spend_a_balance_once(bob: Member) -> None:
    fund(bob, "1000 cny")
    desk = Desk()

    # 130 a piece: seven fit into a thousand.
    results = at_once(*[partial(desk.buy, bob, "1", at="130")] * 20)

    assert count(results, Order) == 7
    assert count(results, InsufficientFunds) == 13
    assert purse(bob, "cny") == (90, 910)
    assert Order.objects.filter(member_id=bob.pk).count() == 7


@pytest.mark.promise("R-50")
def test_it_counts_what_arrives_and_leaves_meanwhile(bob: Member) -> None:
    desk = Desk()
    fund(bob, "500 cny")
    placed = [desk.buy(bob, "1", at="100") for _ in range(5)]
    desk.run()

    deeds: list[Callable[[], object]] = []
    deeds += [partial(desk.cancel, order) for order in placed]
    deeds += [partial(desk.buy, bob, "1", at="100")] * 8
    deeds += [partial(fund, bob, "100 cny")] * 2
    results = at_once(*deeds)

    # What the cancels free is free when the engine says so, not before.
    taken = count(results, Order) - len(placed)
    assert taken <= 2
    assert purse(bob, "cny") == (200 - 100 * taken, 500 + 100 * taken)
    desk.run()
    assert purse(bob, "cny") == (700 - 100 * taken, 100 * taken)


@pytest.mark.promise("I-15", "R-2", "R-33")
def test_it_makes_one_order_of_one_client_id(bob: Member) -> None:
    fund(bob, "1000 cny")
    desk = Desk()

    results = at_once(*[partial(desk.buy, bob, "1", at="100", client_id="mine")] * 20)

    assert count(results, Order) == 20
    assert len({order.pk for order in results if isinstance(order, Order)}) == 1
    assert Order.objects.count() == 1
    assert purse(bob, "cny") == (900, 100)


@pytest.mark.promise("R-36")
def test_it_holds_the_cap_of_open_orders_on_both_sides(bob: Member) -> None:
    fund(bob, "10000 cny", "10 btc")
    desk = Desk()
    desk.market(open_orders_max=7)

    results = at_once(
        *[partial(desk.buy, bob, "0.1", at="100")] * 10,
        *[partial(desk.sell, bob, "0.1", at="200")] * 10,
    )

    assert count(results, Order) == 7
    assert count(results, TooManyOrders) == 13
    assert OpenOrders.objects.get(member_id=bob.pk).count == 7


def test_it_opens_one_account_on_many_first_touches(bob: Member) -> None:
    def touch() -> int:
        with transaction():
            return ledger.account_of(member_id=bob.pk, currency="doge")

    accounts = at_once(*[touch] * 12, *[partial(fund, bob, "1 doge")] * 4)

    assert len({account for account in accounts if account is not None}) == 1
    assert purse(bob, "doge") == (4, 0)


def test_it_opens_one_house_account_on_many_first_touches(db: None) -> None:
    rows.plant("DELETE FROM wallets_account WHERE house = 'fees'")

    def touch() -> int:
        with transaction():
            return ledger.house(ledger.House.FEES, "btc")

    assert len(set(at_once(*[touch] * 12))) == 1


@pytest.mark.promise("R-1")
def test_it_locks_balances_in_the_order_of_their_ids(
    alice: Member, bob: Member
) -> None:
    fund(alice, "10 cny")
    fund(bob, "10 cny")
    fund(alice, "10 cny")  # rewritten, her balance stands behind his on the page
    with transaction():
        hers = ledger.account_of(member_id=alice.pk, currency="cny")
        his = ledger.account_of(member_id=bob.pk, currency="cny")
    assert hers < his
    held = Barrier(2, timeout=30)

    def hold_the_first() -> int:
        """Hold her balance until the other waits for it; is his still free?"""
        with transaction():
            lock_balance(hers)
            held.wait()
            wait_for_a_waiter()
            return len(lock_balance(his))

    def pay() -> None:
        held.wait()
        move = Move(hers, "a", his, "a", D(1), "by_hand", "test")
        with transaction():
            ledger.post([move], at=NOW)

    free, paid = at_once(hold_the_first, pay)

    assert (free, paid) == (1, None)
    assert purse(bob, "cny") == (11, 0)


def lock_balance(account: int) -> list[tuple[object, ...]]:
    return rows.read(
        "SELECT 1 FROM wallets_balance WHERE account_id = %s"
        " FOR NO KEY UPDATE SKIP LOCKED",
        account,
    )


def wait_for_a_waiter() -> None:
    """Return when a session of this database waits for a lock."""
    deadline = monotonic() + 30
    while not rows.read(
        "SELECT 1 FROM pg_locks WHERE NOT granted AND pid IN (SELECT pid"
        " FROM pg_stat_activity WHERE datname = current_database())"
    ):
        assert monotonic() < deadline


def test_it_refuses_what_could_not_lock_in_time(bob: Member) -> None:
    """A lock that is not to be had is an answer, and changes nothing."""
    fund(bob, "1000 cny")
    desk = Desk()
    order = desk.buy(bob, "1", at="100")
    taken, done = Barrier(2, timeout=30), Barrier(2, timeout=30)

    def hold() -> None:
        with transaction():
            orders.lock_live(pk=order.pk)
            taken.wait()
            done.wait()

    def ask() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '50ms'")
        taken.wait()
        try:
            orders.cancel(member=bob, order_id=order.pk, now=NOW)
        finally:
            done.wait()

    _, refused = at_once(hold, ask)

    assert getattr(refused, "code", None) == "busy"
    assert Order.objects.filter(cancel_requested_at=None).count() == 1
