"""
A desk at one market's floor: place and cancel through the real intake, and let the
floor decide when the test says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from accounts.models.members import Member
from exchange.lib.money import parse
from markets import feed, orders
from markets.feed import Message
from markets.floor import MarketFloor, Outcome
from markets.models import Floor, Market, Order
from markets.orders import Terms
from wallets import queries
from wallets.models.currencies import Currency

# What a member has available and locked; whole numbers may be written as such.
Purse = tuple[Decimal | int, Decimal | int]
NOW = datetime(2026, 11, 22, 10, 0, 30, tzinfo=UTC)


class Desk:
    """One market, with a floor that stays. `now` is the time of all that is done."""

    def __init__(self, market_id: str = "btccny") -> None:
        self.market_id = market_id
        self.now = NOW
        self.floor = self.new_floor()

    def new_floor(self) -> MarketFloor:
        """Take the market over, as a restarted process would."""
        self.floor = MarketFloor(self.market_id)
        self.floor.take_over()
        return self.floor

    def buy(
        self, member: Member, amount: str, at: str | None = None, **more: Any
    ) -> Order:
        """Place a limit buy, or without a price a market buy."""
        return self.place(member, "buy", amount=amount, price=at, **more)

    def sell(
        self, member: Member, amount: str, at: str | None = None, **more: Any
    ) -> Order:
        return self.place(member, "sell", amount=amount, price=at, **more)

    def spend(self, member: Member, funds: str) -> Order:
        """Place a market buy sized by its funds."""
        return self.place(member, "buy", funds=funds)

    def place(
        self,
        member: Member,
        side: str,
        *,
        price: str | None = None,
        amount: str | None = None,
        funds: str | None = None,
        client_id: str | None = None,
    ) -> Order:
        return orders.place(
            member=member,
            market_id=self.market_id,
            terms=terms(side, price=price, amount=amount, funds=funds),
            client_id=client_id,
            source="web",
            now=self.now,
        )

    def cancel(self, order: Order) -> Order:
        member = Member.objects.get(pk=order.member_id)
        return orders.cancel(member=member, order_id=order.pk, now=self.now)

    def run(self, *messages: Message) -> list[Outcome]:
        """Let the floor settle the messages given, or all that waits."""
        return self.floor.run(
            list(messages) or feed.waiting(self.market_id), now=self.now
        )

    def market(self, **changes: Any) -> Market:
        """Return the market's row, as an operator changed it."""
        if changes:
            Market.objects.filter(pk=self.market_id).update(**changes)
        return Market.objects.select_related("base", "quote").get(pk=self.market_id)


def terms(side: str, **sizes: str | None) -> Terms:
    return Terms(
        side=side,
        kind="limit" if sizes.get("price") else "market",
        **{name: text and parse(text) for name, text in sizes.items()},  # type: ignore[arg-type]
    )


def fresh(order: Order) -> Order:
    """Return the order as its row is now."""
    return Order.objects.get(pk=order.pk)


def states(orders: Iterable[Order]) -> list[str]:
    return [fresh(order).state for order in orders]


def purse(member: Member, currency: str) -> Purse:
    """Return what a member has available and locked."""
    view = queries.balance(member.pk, currency)
    return view.available, view.locked


def message(kind: str, order: Order) -> Message:
    return Message(kind=kind, id=order.pk)  # type: ignore[arg-type]


def list_market(
    base: tuple[str, int], quote: tuple[str, int], *, tick: str, lot: str
) -> Market:
    """List a market of two new currencies, (code, scale) each, as an operator would."""
    for code, scale in (base, quote):
        Currency.objects.create(
            code=code, name=code, symbol="x", kind="coin", scale=scale, digits=0
        )
    market = Market(
        id=base[0] + quote[0],
        base_id=base[0],
        quote_id=quote[0],
        tick=Decimal(tick),
        lot=Decimal(lot),
        amount_min=Decimal(lot),
        notional_min=Decimal(0),
        maker_fee=Decimal("0.001"),
        taker_fee=Decimal("0.002"),
    )
    market.full_clean()
    market.save(force_insert=True)
    Floor.objects.create(market=market)
    return market
