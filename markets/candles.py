"""
Candles of any period, derived from the 1-minute ones that settlement writes.

Empty periods are filled with the previous close and no volume. Periods count from the
Unix epoch in UTC; a week starts on Monday.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from django.db import connection

from exchange.lib.money import ZERO, plain

PERIODS = (1, 5, 15, 30, 60, 120, 240, 360, 720, 1440, 4320, 10080)  # minutes

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# The epoch was a Thursday: weeks are counted from the Monday after.
_FIRST_MONDAY = datetime(1970, 1, 5, tzinfo=UTC)
_WEEK = 10080


@dataclass(frozen=True, slots=True)
class Bar:
    """One candle. `at` is the start of its period."""

    at: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal

    def as_json(self) -> list[object]:
        """Return [seconds, open, high, low, close, volume], the amounts as strings."""
        amounts = (self.open, self.high, self.low, self.close, self.volume)
        return [int(self.at.timestamp()), *map(plain, amounts)]


def start_of(at: datetime, period_minutes: int) -> datetime:
    """Return the start of the period a moment falls in."""
    origin = _FIRST_MONDAY if period_minutes == _WEEK else _EPOCH
    period = timedelta(minutes=period_minutes)
    return origin + (at - origin) // period * period


def rows(
    market_id: str,
    *,
    period_minutes: int,
    limit: int,
    now: datetime,
    until: datetime | None = None,
) -> list[Bar]:
    """
    Return the last `limit` candles up to `until` (or now), oldest first, without holes
    from the first trade on. A market that never traded has none.
    """
    last = start_of(min(until or now, now), period_minutes)
    first = last - (limit - 1) * timedelta(minutes=period_minutes)
    return _filled(market_id, first, limit, period_minutes)


def rows_from(
    market_id: str, *, start: datetime, period_minutes: int, limit: int, now: datetime
) -> list[Bar]:
    """
    Return `limit` candles, or as many as there are until now, from the one that holds
    `start` on; from the first trade on where that is later. As `rows` otherwise.
    """
    first_minute = _first_minute(market_id)
    if first_minute is None:
        return []
    first = start_of(max(start, first_minute), period_minutes)
    # As a number: the end itself may lie beyond all calendars.
    until_now = (now - first) // timedelta(minutes=period_minutes) + 1
    return _filled(market_id, first, min(limit, max(until_now, 0)), period_minutes)


def _filled(
    market_id: str, first: datetime, count: int, period_minutes: int
) -> list[Bar]:
    """Return `count` candles from `first` on, the empty ones filled."""
    if not count:
        return []
    period = timedelta(minutes=period_minutes)
    found = _derived(market_id, first, first + count * period, period_minutes)
    close = _close_before(market_id, first)
    bars = []
    for step in range(count):
        at = first + step * period
        bar = found.get(at)
        if bar is None:
            if close is None:
                continue  # before the first trade
            bar = Bar(at, close, close, close, close, ZERO)
        close = bar.close
        bars.append(bar)
    return bars


def _derived(
    market_id: str, start: datetime, end: datetime, period_minutes: int
) -> dict[datetime, Bar]:
    origin = _FIRST_MONDAY if period_minutes == _WEEK else _EPOCH
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT date_bin(%s::interval, minute, %s) AS at,
                (array_agg(open ORDER BY minute))[1], max(high), min(low),
                (array_agg(close ORDER BY minute DESC))[1], sum(volume)
            FROM markets_candle
            WHERE market_id = %s AND minute >= %s AND minute < %s
            GROUP BY at
            """,
            [f"{period_minutes} minutes", origin, market_id, start, end],
        )
        return {row[0]: Bar(*row) for row in cursor.fetchall()}


def _close_before(market_id: str, at: datetime) -> Decimal | None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT close FROM markets_candle WHERE market_id = %s AND minute < %s"
            " ORDER BY minute DESC LIMIT 1",
            [market_id, at],
        )
        row = cursor.fetchone()
        return None if row is None else row[0]


def _first_minute(market_id: str) -> datetime | None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT min(minute) FROM markets_candle WHERE market_id = %s", [market_id]
        )
        found: datetime | None = cursor.fetchone()[0]
        return found
