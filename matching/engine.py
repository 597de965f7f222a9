"""
The engine of one market: commands in, numbered events out.

Orders match by price, then by time of acceptance, and trade at the price of the order
that was there first. Nothing here knows balances, fees, clocks or the outside world,
and nothing is ever rounded: a remainder of money that buys no whole lot stays unspent.

# Note [Fast in plain Python]

`submit_batch` and `_match` are written for the interpreter, and everything that an
ordinary order needs is written out in the first: a call costs as much as a cancel.

* Events are plain tuples, appended by a plain `events.append(...)`: that spelling, and
  not a name bound to it beforehand, is what CPython 3.11 turns into a single step.
* Comparisons stand alone in conditions that jump a short way. CPython 3.11 speeds up
  a comparison of integers only together with the jump right behind it, not if that
  jump is a far one, and not if the answer is kept in a name.
* Orders and levels have no `__init__`, and a level is brought up to date once for an
  order that trades there, not once for every trade.

Before making any of it prettier, run `manage.py bench engine`.

# Note [No collector]

The host calls `gc.disable()`, or at least `gc.freeze()` once the book is loaded: a full
collection over a million orders stops the market for half a second. There is nothing
to collect, because what leaves the book is freed by its reference count. Only an engine
that is thrown away with orders in it has to be emptied first, by `clear` or `restore`.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from typing import Final

from matching.book import Book, BookBroken, Level, Order
from matching.commands import BUY, SELL, TOO_LARGE, Cancel, Command, Place
from matching.events import (
    CANCELLED,
    FILLED,
    REJECTED,
    RESTED,
    TRADED,
    Event,
    Reason,
)
from matching.snapshot import RestingOrder, fingerprint

# Two numbers up to here have a product below TOO_LARGE, and CPython compares them fast.
_SMALL: Final = (1 << 30) - 1

# A member of an enumeration is slow to find under its class.
_REQUESTED: Final = Reason.REQUESTED
_NO_LIQUIDITY: Final = Reason.NO_LIQUIDITY
_BUDGET_SPENT: Final = Reason.BUDGET_SPENT
_SELF_TRADE: Final = Reason.SELF_TRADE


class Engine:
    """
    Match the orders of one market by price, then by time.

    The same commands always give the same events, so a day can be replayed and its
    `state_hash` compared. `seq` is the number of the last command accepted; a command
    that is rejected has none and changes nothing. A trader's mistake is answered by an
    event and never raises.
    """

    __slots__ = ("_book", "market", "seq")

    def __init__(self, market: str, seq: int = 0) -> None:
        self.market = market
        self.seq = seq
        self._book = Book()

    # Commands

    def submit(self, command: Command) -> list[Event]:
        """Carry out one command and return what happened, in order."""
        return self.submit_batch((command,))

    def submit_batch(self, commands: Iterable[Command]) -> list[Event]:
        """
        Carry out commands one after another and return all that happened, in order.

        Raises TypeError for what is neither a Place nor a Cancel. The commands before
        it have then been carried out and their events are lost: restore the engine.
        """
        events: list[Event] = []
        book = self._book
        orders, levels = book.orders, book.levels
        bids, asks = book.bids, book.asks
        seq = self.seq
        for command in commands:
            if type(command) is Place:
                order_id = command.order_id
                member_id = command.member_id
                side = command.side
                limit = command.limit
                lots = command.lots
                # The ordinary order passes here; `_refusal` looks closer at any other.
                if (
                    type(order_id) is not int
                    or type(member_id) is not int
                    or type(side) is not int
                    or type(limit) is not int
                    or type(lots) is not int
                    or order_id <= 0
                    or member_id <= 0
                    or side < BUY
                    or side > SELL
                    or limit <= 0
                    or limit > _SMALL
                    or lots <= 0
                    or lots > _SMALL
                    or command.budget is not None
                    or order_id in orders
                ):
                    refusal = self._refusal(command)
                    if refusal is not None:
                        events.append((REJECTED, order_id, refusal, command.client_id))
                        continue
                seq += 1

                if side == BUY:
                    key, own, opposite = limit, bids, asks
                else:
                    key, own, opposite = -limit, asks, bids
                reason = _NO_LIQUIDITY
                if opposite and opposite[-1] >= -key:
                    lots, reason = self._match(command, seq, opposite, events)
                    if lots == 0:
                        events.append(
                            (FILLED, seq, order_id, member_id, command.client_id)
                        )
                        continue

                client_id = command.client_id
                if not command.rests or reason is not _NO_LIQUIDITY:
                    if command.lots == 0:
                        lots = 0  # it was sized by its funds and asked for no lots
                    events.append(
                        (CANCELLED, seq, order_id, member_id, side, limit, lots, reason,
                         client_id)
                    )  # fmt: skip
                    continue

                # Last in line at its price.
                level = levels.get(key)
                if level is None:
                    level = levels[key] = Level()
                    level.key = key
                    level.lots = level.count = 0
                    level.first = level.last = None
                    insort(own, key)
                order = orders[order_id] = Order()
                order.order_id = order_id
                order.member_id = member_id
                order.lots = lots
                order.level = level
                order.next = None
                order.prev = last = level.last
                if last is None:
                    level.first = order
                else:
                    last.next = order
                level.last = order
                level.lots += lots
                level.count += 1
                events.append(
                    (RESTED, seq, order_id, member_id, side, limit, lots, client_id)
                )

            elif type(command) is Cancel:
                found = orders.pop(command.order_id, None)
                if found is None:
                    unknown = Reason.UNKNOWN_ORDER
                    events.append((REJECTED, command.order_id, unknown, None))
                    continue
                seq += 1

                # Out of its queue, wherever in it the order stands.
                level = found.level
                key = level.key
                lots = found.lots
                ahead, behind = found.prev, found.next
                if ahead is behind:  # both None: it is alone
                    level.first = level.last = None
                    del levels[key]
                    own = bids if key > 0 else asks
                    if own[-1] == key:
                        own.pop()
                    else:
                        del own[bisect_left(own, key)]
                else:
                    if ahead is None:
                        level.first = behind
                    else:
                        ahead.next = behind
                    if behind is None:
                        level.last = ahead
                    else:
                        behind.prev = ahead
                    found.prev = found.next = None
                    level.lots -= lots
                    level.count -= 1
                if key > 0:
                    side, price = BUY, key
                else:
                    side, price = SELL, -key
                events.append(
                    (CANCELLED, seq, found.order_id, found.member_id, side, price, lots,
                     _REQUESTED, None)
                )  # fmt: skip

            else:
                raise TypeError(f"not a command: {command!r}")
        self.seq = seq
        return events

    def _match(
        self, place: Place, seq: int, opposite: list[int], events: list[Event]
    ) -> tuple[int, Reason]:
        """
        Trade with the other side for as long as the order can.

        Return the lots left, which are 0 if it got all it asked for, and what ended it.
        """
        book = self._book
        orders, levels = book.orders, book.levels
        order_id = place.order_id
        member_id = place.member_id
        side = place.side
        budget = place.budget
        # No price is below one tick, so money alone never buys more lots than this.
        lots = place.lots or budget or 0
        worst = -place.limit if side == BUY else place.limit
        reason = _NO_LIQUIDITY
        n = 0
        while lots and opposite:
            key = opposite[-1]
            if key < worst:
                break
            level = levels[key]
            price = abs(key)
            maker = level.first
            lots_before = lots
            makers_done = 0
            while maker is not None:
                maker_member_id = maker.member_id
                if maker_member_id == member_id:
                    reason = _SELF_TRADE
                    break
                maker_lots = maker.lots
                # min() would be a call for every trade.
                fill = maker_lots if maker_lots < lots else lots  # noqa: FURB136
                if budget is not None:
                    if fill * price > budget:
                        fill = budget // price
                        if fill == 0:
                            reason = _BUDGET_SPENT
                            break
                    budget -= fill * price
                lots -= fill
                maker_lots -= fill
                maker_id = maker.order_id
                events.append(
                    (TRADED, seq, n, maker_id, maker_member_id, order_id, member_id,
                     side, price, fill, maker_lots)
                )  # fmt: skip
                n += 1
                if maker_lots:
                    maker.lots = maker_lots
                else:
                    del orders[maker_id]
                    makers_done += 1
                    following = maker.next
                    maker.next = None
                    maker = following
                if lots == 0:
                    break
            if maker is None:
                level.first = level.last = None
                del levels[key]
                opposite.pop()
            else:
                maker.prev = None
                level.first = maker
                level.lots -= lots_before - lots
                level.count -= makers_done
                if reason is not _NO_LIQUIDITY:
                    break
        if budget == 0 and place.lots == 0:
            lots = 0  # every unit of its money is spent: it got what it asked for
        return lots, reason

    def _refusal(self, place: Place) -> Reason | None:
        """Say what is wrong with an order, if anything is."""
        budget = place.budget
        numbers = [place.order_id, place.member_id, place.side, place.limit, place.lots]
        if budget is not None:
            numbers.append(budget)
        if any(type(number) is not int for number in numbers):
            return Reason.NOT_A_WHOLE_NUMBER
        smallest_size = 1 if budget is None else 0
        if (
            min(place.order_id, place.member_id, place.limit) < 1
            or place.side not in (BUY, SELL)
            or place.lots < smallest_size
            or (budget is not None and budget < 1)
            or max(place.limit, place.lots, budget or 0) >= TOO_LARGE
            or place.limit * place.lots >= TOO_LARGE
        ):
            return Reason.OUT_OF_RANGE
        if budget is not None and (place.side == SELL or place.rests):
            return Reason.BUDGET_MISPLACED
        if place.order_id in self._book.orders:
            return Reason.DUPLICATE_ORDER
        return None

    # Questions

    def best(self, side: int) -> int | None:
        """The best price of a side in ticks, None if nothing rests there."""
        keys = self._book.keys(side)
        return abs(keys[-1]) if keys else None

    def levels(self, side: int, limit: int | None = None) -> list[tuple[int, int, int]]:
        """The best levels of a side as (price, lots, orders), the best first."""
        keys = self._book.keys(side)
        shown = keys[::-1] if limit is None else keys[: -limit - 1 : -1]
        found = (self._book.levels[key] for key in shown)
        return [(abs(level.key), level.lots, level.count) for level in found]

    def lots_at(self, side: int, price: int) -> int:
        """The lots that rest on a side at a price, 0 if none do."""
        level = self._book.levels.get(price if side == BUY else -price)
        return 0 if level is None else level.lots

    def order(self, order_id: int) -> int | None:
        """The lots an order still has on the book, None if it is not there."""
        order = self._book.orders.get(order_id)
        return None if order is None else order.lots

    # The whole state

    def dump(self) -> tuple[int, list[RestingOrder]]:
        """Everything `restore` needs: the sequence number and the orders at rest."""
        return self.seq, list(self._resting())

    def restore(
        self, seq: int, orders: Iterable[tuple[int, int, int, int, int]]
    ) -> None:
        """
        Forget the book and load another: (order id, member id, side, price, lots) each.

        Orders of one price must come in the order of their acceptance; the order of
        prices and sides does not matter. Raises BookBroken, leaving the book empty, if
        they could not have rested together.
        """
        self.clear()
        for resting in orders:
            (event, *_) = self.submit(Place(*resting))
            if event[0] != RESTED:
                self.clear()
                raise BookBroken(f"{self.market}: {resting} cannot rest: {event}")
        self.seq = seq

    def clear(self) -> None:
        """Empty the book, so that a discarded engine leaves nothing to collect."""
        self._book.clear()

    def state_hash(self) -> str:
        """Name this state: equal for equal books, however they came to be."""
        return fingerprint(self.seq, self._resting())

    def _resting(self) -> Iterator[RestingOrder]:
        for level in self._book.best_first():
            side, price = (BUY, level.key) if level.key > 0 else (SELL, -level.key)
            for order in level:
                yield RestingOrder(
                    order.order_id, order.member_id, side, price, order.lots
                )
