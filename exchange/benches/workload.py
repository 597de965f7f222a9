"""
The streams of commands the engine is measured with, each the same on every machine.

* `main`: a lively market of some 2,000 resting orders on 1,150 prices: 63 % limit
  orders, 27 % cancels, 8 % sweeps over up to five prices, 2 % market orders, and four
  trades for ten commands.
* `peatio`: the ancestor's own benchmark: all asks first, then as many equal bids.
* `depth`: a book of a given number of orders, then commands that keep it that size.

A small, slow book runs along, so that cancels meet orders that are there and sweeps
span prices that are there. Its trades are the judge of the engine's. The draws are
seeded, and their sequence is what makes a stream: changing it makes another workload.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

BID = 0
ASK = 1

LIMIT = 0
CANCEL = 1
MARKET = 2

_SEED = 42
_HASH_BITS = 0xFFFFFFFFFFFFFFF  # 60 of them


class Row(NamedTuple):
    """One command. `cost` is what a market order exchanged, in ticks times lots."""

    op: int
    order_id: int
    side: int
    price: int
    lots: int
    cost: int

    def __str__(self) -> str:
        return ",".join(map(str, self))


@dataclass
class Tally:
    """What all trades amount to. The hash chains maker, taker, price and lots."""

    trades: int = 0
    volume: int = 0
    notional: int = 0
    hash: int = 0

    def add(self, *, maker_id: int, taker_id: int, price: int, lots: int) -> None:
        self.trades += 1
        self.volume += lots
        self.notional += lots * price
        link = maker_id * 31 + taker_id * 17 + price * 7 + lots
        self.hash = (self.hash * 1_000_003 + link) & _HASH_BITS


@dataclass
class Workload:
    """A stream with its judgement: the first `preload` rows only fill the book."""

    rows: list[Row] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    preload: int = 0


def main(count: int = 1_000_000) -> Workload:
    """Draw the lively market. `count` is the number of commands."""
    draw = random.Random(_SEED)  # noqa: S311  (a workload is no secret)
    book = _Book()
    rows = list(_main_rows(draw, book, count))
    return Workload(rows, book.tally)


def peatio(count: int = 200_000) -> Workload:
    """Draw the ancestor's benchmark. `count` is the number of orders, half of each."""
    draw = random.Random(_SEED)  # noqa: S311
    book = _Book()
    pairs = [
        (3000 + draw.randrange(3000), 1 + draw.randrange(10)) for _ in range(count // 2)
    ]
    sided = [(side, price, lots) for side in (ASK, BID) for price, lots in pairs]
    rows = [
        book.place(order_id, *terms) for order_id, terms in enumerate(sided, start=1)
    ]
    return Workload(rows, book.tally)


def depth(resting: int, count: int) -> Workload:
    """Draw a book of `resting` orders and `count` commands that keep it so."""
    draw = random.Random(_SEED)  # noqa: S311
    book = _Book()
    rows = list(_depth_rows(draw, book, resting, count))
    return Workload(rows, book.tally, preload=resting)


def _main_rows(draw: random.Random, book: _Book, count: int) -> Iterator[Row]:
    middle = 100_000
    order_id = 0
    for _ in range(count):
        drift = draw.random()
        if drift < 0.1:
            middle += 5
        elif drift < 0.2:
            middle -= 5
        kind = draw.random()
        # With fewer orders than this there is nothing sensible to cancel.
        forced = 0.55 <= kind < 0.90 and len(book.ids) < 2000
        if kind < 0.55 or forced:
            order_id += 1
            side = draw.getrandbits(1)
            passive = 120.0 + _laplace(draw, 300.0)  # below zero: beyond the middle
            if forced:
                passive = abs(passive) + 1
            price = round(middle - passive if side == BID else middle + passive)
            if passive > 0:
                lots = draw.randint(1, 100)
            else:
                lots = 1 + int(draw.expovariate(1 / 15.0))
            yield book.place(order_id, side, price, lots)
        elif kind < 0.90:
            yield book.cancel(_any_of(draw, book.ids))
        elif kind < 0.98:
            order_id += 1
            yield _sweep(draw, book, order_id, middle)
        else:
            order_id += 1
            side = draw.getrandbits(1)
            lots = 1 + int(draw.expovariate(1 / 20.0))
            yield book.market(order_id, side, lots)


def _sweep(draw: random.Random, book: _Book, order_id: int, middle: int) -> Row:
    side = draw.getrandbits(1)
    keys = book.keys[1 - side]
    wanted = draw.choices((1, 2, 3, 4, 5), (50, 25, 13, 8, 4))[0]
    span = min(wanted, len(keys))
    if span == 0:
        return book.place(order_id, side, middle, 1)
    whole = [abs(keys[-rank]) for rank in range(1, span)]
    last = abs(keys[-span])
    lots = sum(book.lots_at(1 - side, price) for price in whole)
    lots += draw.randint(1, book.lots_at(1 - side, last))
    return book.place(order_id, side, last, lots)


def _depth_rows(
    draw: random.Random, book: _Book, resting: int, count: int
) -> Iterator[Row]:
    middle = 1_000_000
    width = max(20, resting // 40)  # 20 orders for each price and both sides
    order_id = 0

    def passive() -> Row:
        side = draw.getrandbits(1)
        distance = 1 + int(draw.random() * width)
        price = middle - distance if side == BID else middle + distance
        return book.place(order_id, side, price, draw.randint(1, 100))

    for _ in range(resting):
        order_id += 1
        yield passive()
    for _ in range(count):
        kind = draw.random()
        if kind < 0.45 + (0.2 if len(book.ids) < resting else -0.05):
            order_id += 1
            yield passive()
        elif kind < 0.85:
            yield book.cancel(_any_of(draw, book.ids))
        else:
            order_id += 1
            side = draw.getrandbits(1)
            best = abs(book.keys[1 - side][-1])
            yield book.place(order_id, side, best, draw.randint(1, 100))


def _laplace(draw: random.Random, scale: float) -> float:
    uniform = draw.random() - 0.5
    spread = math.log(1 - 2 * abs(uniform) + 1e-300)
    return -scale * math.copysign(1, uniform) * spread


def _any_of(draw: random.Random, ids: list[int]) -> int:
    return ids[int(draw.random() * len(ids))]


class _Book:
    """The slow book that runs along. Sides are BID and ASK, asks have negative keys."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.ids: list[int] = []  # all that rest, in an order that suits drawing one
        self.keys: tuple[list[int], list[int]] = ([], [])
        self._place_of: dict[int, int] = {}
        self._terms: dict[int, tuple[int, int]] = {}
        self._queues: tuple[dict[int, deque[list[int]]], ...] = ({}, {})

    def lots_at(self, side: int, price: int) -> int:
        return sum(lots for _, lots in self._queues[side][price])

    def place(self, order_id: int, side: int, price: int, lots: int) -> Row:
        left, _ = self._match(order_id, side, price, lots)
        if left:
            queue = self._queues[side].get(price)
            if queue is None:
                queue = self._queues[side][price] = deque()
                insort(self.keys[side], price if side == BID else -price)
            queue.append([order_id, left])
            self._terms[order_id] = (side, price)
            self._place_of[order_id] = len(self.ids)
            self.ids.append(order_id)
        return Row(LIMIT, order_id, side, price, lots, 0)

    def market(self, order_id: int, side: int, lots: int) -> Row:
        _, cost = self._match(order_id, side, None, lots)
        return Row(MARKET, order_id, side, 0, lots, cost)

    def cancel(self, order_id: int) -> Row:
        side, price = self._terms[order_id]
        self._forget(order_id)
        queue = self._queues[side][price]
        del queue[[waiting for waiting, _ in queue].index(order_id)]
        if not queue:
            del self._queues[side][price]
            keys = self.keys[side]
            del keys[bisect_left(keys, price if side == BID else -price)]
        return Row(CANCEL, order_id, side, price, 0, 0)

    def _match(
        self, taker_id: int, side: int, limit: int | None, lots: int
    ) -> tuple[int, int]:
        """Trade; return the lots left and what the others cost."""
        keys, queues = self.keys[1 - side], self._queues[1 - side]
        cost = 0
        while lots and keys:
            price = abs(keys[-1])
            if limit is not None and (price > limit if side == BID else price < limit):
                break
            queue = queues[price]
            while lots and queue:
                maker_id, waiting = queue[0]
                traded = min(lots, waiting)
                lots -= traded
                cost += traded * price
                self.tally.add(
                    maker_id=maker_id, taker_id=taker_id, price=price, lots=traded
                )
                queue[0][1] -= traded
                if traded == waiting:
                    queue.popleft()
                    self._forget(maker_id)
            if not queue:
                keys.pop()
                del queues[price]
        return lots, cost

    def _forget(self, order_id: int) -> None:
        del self._terms[order_id]
        place = self._place_of.pop(order_id)
        last = self.ids.pop()
        if last != order_id:
            self.ids[place] = last
            self._place_of[last] = place
