"""
The public view of a book: snapshots, and mirrors that follow the numbered deltas.

A snapshot is read from the rows in one statement, with the sequence it is of: the
orders and the floor's row change in one transaction. `Mirror` promises that a snapshot
plus the deltas after it equal the later snapshot, level by level.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass
from decimal import Decimal

from django.db import connection

from exchange.lib.money import plain

Level = tuple[Decimal, Decimal]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A book as of a sequence number: (price, amount) per level, best first."""

    seq: int
    bids: list[Level]
    asks: list[Level]


# One statement is one snapshot of the database: the levels are those of that sequence.
_SNAPSHOT = """
WITH floor AS (
    SELECT settled_seq FROM markets_floor WHERE market_id = %(market)s
), bids AS (
    SELECT price, sum(amount - filled) AS amount FROM markets_order
    WHERE market_id = %(market)s AND side = 'buy' AND state = 'open'
    GROUP BY price ORDER BY price DESC LIMIT %(limit)s
), asks AS (
    SELECT price, sum(amount - filled) AS amount FROM markets_order
    WHERE market_id = %(market)s AND side = 'sell' AND state = 'open'
    GROUP BY price ORDER BY price LIMIT %(limit)s
)
SELECT 'seq', settled_seq, 0 FROM floor
UNION ALL SELECT 'buy', price, amount FROM bids
UNION ALL SELECT 'sell', price, amount FROM asks
"""


def snapshot(market_id: str, *, limit: int = 1000) -> Snapshot:
    """Read the best `limit` levels of both sides, and the sequence they are of."""
    seq, sides = 0, dict[str, list[Level]](buy=[], sell=[])
    with connection.cursor() as cursor:
        cursor.execute(_SNAPSHOT, {"market": market_id, "limit": limit})
        for kind, price, amount in cursor.fetchall():
            if kind == "seq":
                seq = int(price)
            else:
                sides[kind].append((price, amount))
    bids = sorted(sides["buy"], reverse=True)
    return Snapshot(seq, bids, sorted(sides["sell"]))


class Mirror:
    """A book kept up to date by deltas, for those who show it."""

    def __init__(self, start: Snapshot) -> None:
        self.seq = start.seq
        self._levels: dict[str, dict[Decimal, Decimal]] = {
            "buy": dict(start.bids),
            "sell": dict(start.asks),
        }
        self._prices = {side: sorted(levels) for side, levels in self._levels.items()}

    def apply(self, *, prev: int, seq: int, book: list[list[str]]) -> bool:
        """
        Follow one delta: (side, price, new total) for each changed level.

        Returns False, and changes nothing, when a number was missed; an old delta is
        skipped.
        """
        if seq <= self.seq:
            return True
        if prev != self.seq:
            return False
        for side, price, amount in book:
            self._set(side, Decimal(price), Decimal(amount))
        self.seq = seq
        return True

    def snapshot(self, *, limit: int = 1000) -> Snapshot:
        """Return the best levels of both sides as they are now."""
        buys, sells = self._levels["buy"], self._levels["sell"]
        best_buys = self._prices["buy"][-limit:][::-1]
        return Snapshot(
            self.seq,
            [(price, buys[price]) for price in best_buys],
            [(price, sells[price]) for price in self._prices["sell"][:limit]],
        )

    def best(self, side: str) -> Decimal | None:
        """Return the best price of a side."""
        prices = self._prices[side]
        if not prices:
            return None
        return prices[-1] if side == "buy" else prices[0]

    def _set(self, side: str, price: Decimal, amount: Decimal) -> None:
        levels, prices = self._levels[side], self._prices[side]
        if amount:
            if price not in levels:
                insort(prices, price)
            levels[price] = amount
        elif levels.pop(price, None) is not None:
            prices.remove(price)


def levels_view(levels: list[Level]) -> list[list[str]]:
    """Write levels as pages, streams and the API show them."""
    return [[plain(price), plain(amount)] for price, amount in levels]
