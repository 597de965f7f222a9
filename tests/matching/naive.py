"""
The judge: a book so plain that it can be believed by reading it.

It keeps two lists of orders and searches them. It shares with the engine only the
vocabulary: commands, events and the words for a snapshot.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from matching.commands import BUY, SELL, Cancel, Command, Place
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


@dataclass
class Resting:
    order_id: int
    member_id: int
    side: int
    price: int
    lots: int


class NaiveBook:
    def __init__(self, seq: int = 0) -> None:
        self.seq = seq
        self.orders: list[Resting] = []  # in the order of their acceptance

    def submit(self, command: Command) -> list[Event]:
        if isinstance(command, Cancel):
            return self._cancel(command)
        return self._place(command)

    def line(self, side: int) -> list[Resting]:
        """The orders of a side in priority order."""
        own = [order for order in self.orders if order.side == side]
        sign = -1 if side == BUY else 1
        return sorted(own, key=lambda order: sign * order.price)  # sorting is stable

    def levels(self, side: int) -> list[tuple[int, int, int]]:
        prices = list(dict.fromkeys(order.price for order in self.line(side)))
        at = {p: [o.lots for o in self.line(side) if o.price == p] for p in prices}
        return [(price, sum(at[price]), len(at[price])) for price in prices]

    def state_hash(self) -> str:
        resting = self.line(BUY) + self.line(SELL)
        return fingerprint(
            self.seq,
            [
                RestingOrder(o.order_id, o.member_id, o.side, o.price, o.lots)
                for o in resting
            ],
        )

    def _cancel(self, cancel: Cancel) -> list[Event]:
        for order in self.orders:
            if order.order_id == cancel.order_id:
                self.orders.remove(order)
                self.seq += 1
                return [
                    (
                        CANCELLED,
                        self.seq,
                        order.order_id,
                        order.member_id,
                        order.side,
                        order.price,
                        order.lots,
                        Reason.REQUESTED,
                        None,
                    )
                ]
        return [(REJECTED, cancel.order_id, Reason.UNKNOWN_ORDER, None)]

    def _place(self, place: Place) -> list[Event]:
        reason = self._refusal(place)
        if reason is not None:
            return [(REJECTED, place.order_id, reason, place.client_id)]
        self.seq += 1
        by_funds = place.lots == 0
        lots = place.lots
        budget = place.budget
        events: list[Event] = []
        reason = None
        while lots > 0 or (by_funds and budget):
            line = self.line(1 - place.side)
            if not line or not _crosses(place, line[0].price):
                reason = Reason.NO_LIQUIDITY
                break
            maker = line[0]
            if maker.member_id == place.member_id:
                reason = Reason.SELF_TRADE
                break
            sizes = [maker.lots]
            if not by_funds:
                sizes.append(lots)
            if budget is not None:
                sizes.append(budget // maker.price)
            fill = min(sizes)
            if fill == 0:
                reason = Reason.BUDGET_SPENT
                break
            maker.lots -= fill
            if not by_funds:
                lots -= fill
            if budget is not None:
                budget -= fill * maker.price
            if maker.lots == 0:
                self.orders.remove(maker)
            events.append(
                (
                    TRADED,
                    self.seq,
                    len(events),
                    maker.order_id,
                    maker.member_id,
                    place.order_id,
                    place.member_id,
                    place.side,
                    maker.price,
                    fill,
                    maker.lots,
                )
            )
        return [*events, self._end(place, lots, reason)]

    def _end(self, place: Place, lots: int, reason: Reason | None) -> Event:
        who = (place.order_id, place.member_id)
        if reason is None:
            return (FILLED, self.seq, *who, place.client_id)
        if reason is Reason.NO_LIQUIDITY and place.rests:
            self.orders.append(Resting(*who, place.side, place.limit, lots))
            return (
                RESTED,
                self.seq,
                *who,
                place.side,
                place.limit,
                lots,
                place.client_id,
            )
        return (
            CANCELLED,
            self.seq,
            *who,
            place.side,
            place.limit,
            lots,
            reason,
            place.client_id,
        )

    def _refusal(self, place: Place) -> Reason | None:
        if place.limit < 1 or place.lots < 0:
            return Reason.OUT_OF_RANGE
        if place.lots == 0 and place.budget is None:
            return Reason.OUT_OF_RANGE
        if place.budget is not None and place.budget < 1:
            return Reason.OUT_OF_RANGE
        if place.budget is not None and (place.side == SELL or place.rests):
            return Reason.BUDGET_MISPLACED
        if place.order_id in {order.order_id for order in self.orders}:
            return Reason.DUPLICATE_ORDER
        return None


def _crosses(place: Place, price: int) -> bool:
    return price <= place.limit if place.side == BUY else price >= place.limit


def submit_all(book: NaiveBook, commands: Iterable[Command]) -> list[Event]:
    return [event for command in commands for event in book.submit(command)]
