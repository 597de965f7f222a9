"""
A walk through everything at random: orders of all kinds and ends, duplicates, restarts
and crashes, judged after each batch by an exchange that is easy to believe.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from decimal import Decimal

import pytest

from accounts.models.members import Member
from exchange import invariants
from markets import feed, settlement
from markets.models import Order, Trade
from markets.orders import NotDeepEnough
from tests.makers import fund
from tests.markets.desk import Desk, purse
from tests.markets.naive_exchange import Naive, NaiveExchange
from tests.markets.test_settlement import STEPS
from wallets.ledger import InsufficientFunds

D = Decimal
People = list[Member]


class Crash(BaseException):
    """The process dies here: nobody catches it."""


class Walk:
    """Two exchanges doing the same."""

    def __init__(self, chance: random.Random, people: People) -> None:
        self.chance, self.people = chance, people
        self.desk, self.naive = Desk(), NaiveExchange()
        for member in people:
            fund(member, "30 btc", "3000 cny")
            self.naive.give(member.pk, "btc", D(30))
            self.naive.give(member.pk, "cny", D(3000))

    def place(self) -> None:
        member = self.chance.choice(self.people)
        side = self.chance.choice(["buy", "sell"])
        sizes = self._sizes(side)
        texts = {name: None if x is None else f"{x:f}" for name, x in sizes.items()}
        terms = self.naive.terms(side, **sizes)
        if terms is None:
            with pytest.raises(NotDeepEnough):
                self.desk.place(member, side, **texts)
            return
        limit, locks = terms
        currency = "cny" if side == "buy" else "btc"
        if locks > self.naive.available[member.pk, currency]:
            with pytest.raises(InsufficientFunds):
                self.desk.place(member, side, **texts)
            return
        order = self.desk.place(member, side, **texts)
        rests = sizes["price"] is not None
        self.naive.place(
            Naive(order.pk, member.pk, side, limit, sizes["amount"], locks, rests)
        )

    def cancel(self) -> None:
        live = [o.id for o in self.naive.orders.values() if o.state in Order.LIVE]
        if live:
            order_id = self.chance.choice(live)
            self.desk.cancel(Order.objects.get(pk=order_id))
            self.naive.cancel(order_id)

    def run(self) -> None:
        messages = feed.waiting("btccny")
        if messages:
            self.desk.run(*messages, *self.chance.sample(messages, 1))
            self.desk.run(*messages)  # delivered again
        self.naive.run()

    def compare(self) -> None:
        for member in self.people:
            for currency in ("btc", "cny"):
                assert purse(member, currency) == (
                    self.naive.available[member.pk, currency],
                    self.naive.locked(member.pk, currency),
                )
        rows = Order.objects.values_list("pk", "state", "filled", "locked")
        assert sorted(rows) == sorted(
            (o.id, o.state, o.filled, o.locked) for o in self.naive.orders.values()
        )
        columns = ("maker_order_id", "taker_order_id", "price", "amount")
        assert (
            list(Trade.objects.order_by("pk").values_list(*columns))
            == self.naive.trades
        )

    def _sizes(self, side: str) -> dict[str, Decimal | None]:
        amount: Decimal | None = D(self.chance.randint(100, 60_000)).scaleb(-4)
        price = funds = None
        kind = self.chance.random()
        if kind < 0.75:
            price = D(self.chance.randint(9_700, 10_300)).scaleb(-2)
        elif kind > 0.88 and side == "buy":
            amount, funds = None, D(self.chance.randint(1, 10**11)).scaleb(-8) + 1
        return {"price": price, "amount": amount, "funds": funds}


@pytest.fixture
def people(alice: Member, bob: Member, mallory: Member, olive: Member) -> People:
    return [alice, bob, mallory, olive]


@pytest.mark.promise("I-1", "I-4", "I-5", "I-6", "I-9", "I-10", "F-16", "R-63")
@pytest.mark.parametrize("seed", [1, 2])
def test_it_agrees_with_the_naive_exchange(
    people: People, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    walk = Walk(chance, people)

    for _ in range(20):
        for _ in range(chance.randint(2, 12)):
            chance.choices([walk.place, walk.cancel], [5, 1])[0]()
        fate = chance.random()
        if fate < 0.2:
            walk.desk.new_floor()
        elif fate < 0.4:
            crash(walk.desk, chance.choice(STEPS), monkeypatch)
        walk.run()
        walk.compare()
    assert invariants.check_all() == []
    assert len(walk.naive.trades) > 30


def crash(desk: Desk, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Die in the middle of a settlement; the next process takes over."""
    real: Callable[..., object] = getattr(settlement, step)

    def dying(*args: object) -> object:
        real(*args)
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(settlement, step, dying)
        try:
            desk.run()
        except Crash:
            desk.new_floor()
