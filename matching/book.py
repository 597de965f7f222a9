"""
How the orders at rest in one market are kept, in price-time priority.

Only the shape lives here; `engine.py` moves orders in and out of it.

* An order is a link in the queue of its price, so leaving from the middle of a long
  queue costs what leaving from its end costs. A dict used as a queue would not do: the
  gaps at its front make taking the first one slower with every one taken.
* A price is kept under its *key*: the price itself for bids, its negative for asks. In
  a sorted list of keys the best is then always the last, on both sides, and taking it
  away moves nothing. Keys of the two sides never collide, so one dict serves both.
* An order that leaves lets go of its neighbours. The host runs with the cyclic garbage
  collector off, and two orders holding on to each other would stay for ever.
"""

from __future__ import annotations

from collections.abc import Iterator

from matching.commands import BUY, SELL


class BookBroken(Exception):
    """The book contradicts itself. Our own fault, never a trader's: stop the market."""


class Order:
    """An order at rest. It is filled in where it is made; `__init__` costs too much."""

    __slots__ = ("level", "lots", "member_id", "next", "order_id", "prev")

    order_id: int
    member_id: int
    lots: int
    level: Level
    prev: Order | None
    next: Order | None


class Level:
    """The orders of one side at one price, first come first. Never kept when empty."""

    __slots__ = ("count", "first", "key", "last", "lots")

    key: int
    lots: int
    count: int
    first: Order | None
    last: Order | None

    def __iter__(self) -> Iterator[Order]:
        order = self.first
        while order is not None:
            yield order
            order = order.next


class Book:
    """
    Both sides of one market.

    `bids` and `asks` are the keys in rising order, the best of each side last;
    `levels` finds a level by its key and `orders` an order by its id.
    """

    __slots__ = ("asks", "bids", "levels", "orders")

    def __init__(self) -> None:
        self.bids: list[int] = []
        self.asks: list[int] = []
        self.levels: dict[int, Level] = {}
        self.orders: dict[int, Order] = {}

    def keys(self, side: int) -> list[int]:
        return self.bids if side == BUY else self.asks

    def best_first(self) -> Iterator[Level]:
        """Walk the levels of the bids, then of the asks, the best of each first."""
        for side in (BUY, SELL):
            for key in reversed(self.keys(side)):
                yield self.levels[key]

    def clear(self) -> None:
        """Forget everything, undoing the links so that nothing is left to collect."""
        for order in self.orders.values():
            order.prev = order.next = None
        for level in self.levels.values():
            level.first = level.last = None
        self.bids.clear()
        self.asks.clear()
        self.levels.clear()
        self.orders.clear()
