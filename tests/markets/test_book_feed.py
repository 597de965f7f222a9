"""The public book: a snapshot and the deltas after it are the later snapshot."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest

from accounts.models.members import Member
from markets import book_feed
from markets.book_feed import Mirror, Snapshot, levels_view
from markets.floor import Outcome
from markets.models import Order
from tests.makers import fund
from tests.markets.desk import Desk

D = Decimal


def follow(mirror: Mirror, outcome: Outcome) -> bool:
    event = outcome.as_event()
    return mirror.apply(prev=event["prev"], seq=event["seq"], book=event["book"])


@pytest.mark.promise("I-17", "F-7")
def test_it_is_the_later_snapshot_after_any_run(
    alice: Member, bob: Member, mallory: Member
) -> None:
    desk, chance = Desk(), random.Random(17)
    people = (alice, bob, mallory)
    for member in people:
        fund(member, "1000 btc", "1000000 cny")
    mirror = Mirror(book_feed.snapshot("btccny"))

    for _ in range(25):
        for _ in range(chance.randint(1, 6)):
            member, price = chance.choice(people), str(chance.randint(95, 105))
            trade = desk.buy if chance.random() < 0.5 else desk.sell
            trade(member, f"{chance.randint(1, 30) / 10}", at=price)
        live = list(Order.objects.filter(state="open").order_by("pk"))
        for order in chance.sample(live, k=min(len(live), chance.randint(0, 2))):
            desk.cancel(order)
        for outcome in desk.run():
            assert follow(mirror, outcome)
        assert mirror.snapshot() == book_feed.snapshot("btccny")
        assert mirror.snapshot(limit=3) == book_feed.snapshot("btccny", limit=3)

    bids, asks = mirror.snapshot().bids, mirror.snapshot().asks
    assert bids
    assert asks
    assert (mirror.best("buy"), mirror.best("sell")) == (bids[0][0], asks[0][0])


def test_it_sums_the_orders_of_a_level_best_first(alice: Member, bob: Member) -> None:
    desk = Desk()
    fund(alice, "10 btc")
    fund(bob, "1000 cny")
    for amount, price in (("1", "101"), ("2", "100"), ("0.5", "101")):
        desk.sell(alice, amount, at=price)
    desk.buy(bob, "1", at="98.5")
    desk.buy(bob, "1", at="99.5")
    desk.buy(bob, "0.5", at="100")
    desk.run()
    desk.buy(bob, "1", at="98")  # not yet in the book

    snapshot = book_feed.snapshot("btccny")

    assert snapshot.seq == 6
    assert levels_view(snapshot.asks) == [["100.0", "1.5"], ["101.0", "1.5"]]
    assert levels_view(snapshot.bids) == [["99.5", "1.0"], ["98.5", "1.0"]]
    assert book_feed.snapshot("btccny", limit=1).bids == [(D("99.5"), D(1))]
    assert book_feed.snapshot("nope") == Snapshot(0, [], [])


@pytest.fixture
def mirror() -> Mirror:
    return Mirror(Snapshot(7, [(D(99), D(1))], [(D(101), D(2))]))


def test_it_never_patches_over_a_hole(mirror: Mirror) -> None:
    before = mirror.snapshot()

    assert mirror.apply(prev=8, seq=9, book=[["buy", "99.0", "5.0"]]) is False

    assert mirror.snapshot() == before


def test_it_skips_what_it_knows(mirror: Mirror) -> None:
    before = mirror.snapshot()

    assert mirror.apply(prev=5, seq=7, book=[["buy", "99.0", "5.0"]]) is True

    assert mirror.snapshot() == before


def test_it_sets_adds_and_takes_away_levels(mirror: Mirror) -> None:
    assert mirror.apply(
        prev=7,
        seq=9,
        book=[
            *(["buy", "99.0", "0.0"], ["buy", "98.0", "3.0"], ["sell", "101.0", "1.0"]),
            *(["sell", "100.0", "4.0"], ["sell", "105.0", "0.0"]),
        ],
    )

    assert mirror.snapshot() == Snapshot(
        9, [(D(98), D(3))], [(D(100), D(4)), (D(101), D(1))]
    )
    assert mirror.apply(prev=9, seq=10, book=[["buy", "98.0", "0.0"]])
    assert mirror.best("buy") is None
