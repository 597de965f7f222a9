"""
An exchange that is easy to believe: one market, plain lists, no engine, no SQL.

It is the judge of the real one. It is slow, and every rule stands here in one place.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

LOT, UNIT, FEE_UNIT = Decimal("0.0001"), Decimal("0.000001"), Decimal("0.00000001")
TICK, COLLAR = Decimal("0.01"), Decimal("0.05")
MAKER_FEE, TAKER_FEE = Decimal("0.001"), Decimal("0.002")


@dataclass(slots=True)
class Naive:
    """An order."""

    id: int
    member: int
    side: str
    limit: Decimal  # the worst price
    left: Decimal | None  # base still wanted; None for one sized by its funds
    locked: Decimal
    rests: bool
    state: str = "pending"
    filled: Decimal = Decimal(0)
    cancel_wanted: bool = False


class NaiveExchange:
    """Call `place` and `cancel` as the real ones are, then `run` as the floor is."""

    def __init__(self) -> None:
        self.available: dict[tuple[int, str], Decimal] = {}
        self.orders: dict[int, Naive] = {}
        self.queue: list[Naive] = []  # at rest, oldest first
        self.trades: list[tuple[int, int, Decimal, Decimal]] = []

    def give(self, member: int, currency: str, amount: Decimal) -> None:
        key = member, currency
        self.available[key] = self.available.get(key, Decimal(0)) + amount

    def locked(self, member: int, currency: str) -> Decimal:
        kinds = {"buy": "cny", "sell": "btc"}
        mine = (o for o in self.orders.values() if o.member == member)
        return sum((o.locked for o in mine if kinds[o.side] == currency), Decimal(0))

    def terms(
        self,
        side: str,
        price: Decimal | None,
        amount: Decimal | None,
        funds: Decimal | None,
    ) -> tuple[Decimal, Decimal] | None:
        """Return the worst price and what to lock; None when nobody is there."""
        limit = price if price is not None else self._collar(side)
        if limit is None:
            return None
        if funds is not None:
            return limit, funds
        wanted = amount or Decimal(0)
        return limit, wanted * limit if side == "buy" else wanted

    def place(self, order: Naive) -> None:
        self.give(order.member, _gives(order), -order.locked)
        self.orders[order.id] = order

    def cancel(self, order_id: int) -> None:
        self.orders[order_id].cancel_wanted = True

    def run(self) -> None:
        """Take what is pending by id, then the cancels of what rested before."""
        pending = [o for o in self.orders.values() if o.state == "pending"]
        resting = [o for o in self.queue if o.cancel_wanted]
        for order in sorted(pending, key=lambda order: order.id):
            if order.cancel_wanted:
                self._end(order, "cancelled")
            else:
                self._match(order)
        for order in resting:
            if order.state == "open":
                self.queue.remove(order)
                self._end(order, "cancelled")

    def _collar(self, side: str) -> Decimal | None:
        prices = [o.limit for o in self.queue if o.side != side]
        if not prices:
            return None
        if side == "buy":
            return _step(min(prices) * (1 + COLLAR), TICK, ROUND_FLOOR)
        return _step(max(prices) * (1 - COLLAR), TICK, ROUND_CEILING)

    def _match(self, order: Naive) -> None:
        budget = _step(order.locked, UNIT, ROUND_FLOOR) if order.left is None else None
        while order.left is None or order.left > 0:
            maker = self._best_for(order)
            if maker is None or maker.left is None:
                break
            size = maker.left if order.left is None else min(order.left, maker.left)
            if budget is not None:
                size = min(size, _step(budget / maker.limit, LOT, ROUND_FLOOR))
                if size == 0:
                    self._end(order, "filled" if order.filled else "cancelled")
                    return
            if maker.member == order.member:
                self._end(order, "cancelled")
                return
            if budget is not None:
                budget -= size * maker.limit
            self._trade(maker, order, size)
            if budget == 0:
                self._end(order, "filled")
                return
        if order.left == 0:
            self._end(order, "filled")
        elif order.rests:
            order.state = "open"
            self.queue.append(order)
        else:
            self._end(order, "cancelled")

    def _best_for(self, order: Naive) -> Naive | None:
        others = [o for o in self.queue if o.side != order.side]
        if order.side == "buy":
            crossing = [o for o in others if o.limit <= order.limit]
            return min(crossing, key=lambda o: o.limit, default=None)
        crossing = [o for o in others if o.limit >= order.limit]
        return max(crossing, key=lambda o: o.limit, default=None)

    def _trade(self, maker: Naive, taker: Naive, size: Decimal) -> None:
        price = maker.limit
        buyer, seller = (taker, maker) if taker.side == "buy" else (maker, taker)
        self.trades.append((maker.id, taker.id, price, size))
        rate = {maker.id: MAKER_FEE, taker.id: TAKER_FEE}
        self.give(buyer.member, "btc", size - _fee(size, rate[buyer.id]))
        paid = size * price
        self.give(seller.member, "cny", paid - _fee(paid, rate[seller.id]))
        seller.locked -= size
        if buyer.left is None:
            buyer.locked -= paid
        else:
            buyer.locked -= size * buyer.limit
            self.give(buyer.member, "cny", size * (buyer.limit - price))
        for order in (maker, taker):
            order.filled += size
            if order.left is not None:
                order.left -= size
        if maker.left == 0:
            self.queue.remove(maker)
            self._end(maker, "filled")

    def _end(self, order: Naive, state: str) -> None:
        self.give(order.member, _gives(order), order.locked)
        order.locked, order.state = Decimal(0), state


def _gives(order: Naive) -> str:
    return "cny" if order.side == "buy" else "btc"


def _fee(received: Decimal, rate: Decimal) -> Decimal:
    return _step(received * rate, FEE_UNIT, ROUND_CEILING)


def _step(amount: Decimal, step: Decimal, direction: str) -> Decimal:
    return (amount / step).to_integral_value(direction) * step
